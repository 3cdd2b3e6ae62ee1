//! Cutting text into words.

use std::ops::Range;

use tantivy::tokenizer::{
    AsciiFoldingFilter, LowerCaser, RemoveLongFilter, TextAnalyzer, Token, TokenStream, Tokenizer,
};

/// Longer words are no words but data, and not found.
const LONGEST: usize = 64;

/// How texts and search terms are cut: into words in lower case without accents.
pub(super) fn analyser() -> TextAnalyzer {
    TextAnalyzer::builder(Words)
        .filter(RemoveLongFilter::limit(LONGEST))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

/// The words of a text in the form in which they are compared, each with what stands in the text.
pub(super) fn words(text: &str) -> Vec<(String, &str)> {
    let mut analyser = analyser();
    let mut stream = analyser.token_stream(text);
    let mut words = Vec::new();
    while stream.advance() {
        let token = stream.token();
        words.push((token.text.clone(), &text[token.offset_from..token.offset_to]));
    }
    words
}

/// Cuts at everything but letters and digits. Scripts that put no spaces between words are cut into characters, so
/// that any part of a sentence is found.
#[derive(Debug, Clone)]
struct Words;

impl Tokenizer for Words {
    type TokenStream<'a> = WordStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        WordStream { text, ranges: ranges(text).into_iter(), token: Token::default() }
    }
}

struct WordStream<'a> {
    text: &'a str,
    ranges: std::vec::IntoIter<Range<usize>>,
    token: Token,
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(range) = self.ranges.next() else { return false };
        self.token.position = self.token.position.wrapping_add(1);
        self.token.offset_from = range.start;
        self.token.offset_to = range.end;
        self.text[range].clone_into(&mut self.token.text);
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = None;
    for (at, character) in text.char_indices() {
        let is_word = is_word_of_its_own(character);
        if character.is_alphanumeric() && !is_word {
            start.get_or_insert(at);
            continue;
        }
        ranges.extend(start.take().map(|start| start..at));
        if is_word {
            ranges.push(at..at + character.len_utf8());
        }
    }
    ranges.extend(start.map(|start| start..text.len()));
    ranges
}

/// Ideographs and kana, and the scripts of South-East Asia that are written without spaces.
fn is_word_of_its_own(character: char) -> bool {
    matches!(
        character,
        '\u{0E01}'..='\u{0E30}'
            | '\u{0E80}'..='\u{0EFF}'
            | '\u{1000}'..='\u{109F}'
            | '\u{1780}'..='\u{17FF}'
            | '\u{3040}'..='\u{30FF}'
            | '\u{3400}'..='\u{4DBF}'
            | '\u{4E00}'..='\u{9FFF}'
            | '\u{F900}'..='\u{FAFF}'
            | '\u{20000}'..='\u{3FFFF}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<String> {
        words(text).into_iter().map(|(word, _)| word).collect()
    }

    #[test]
    fn case_accents_and_punctuation_do_not_matter() {
        assert_eq!(cut("Déjà-vu, HELLO!"), ["deja", "vu", "hello"]);
        assert_eq!(words("Café")[0].1, "Café");
    }

    #[test]
    fn ideographs_are_words() {
        assert_eq!(cut("你好hello世界"), ["你", "好", "hello", "世", "界"]);
    }

    #[test]
    fn data_is_no_word() {
        assert_eq!(cut(&format!("a {} b", "x".repeat(LONGEST + 1))), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn any_text_is_cut_into_parts_of_itself(text in ".*") {
            for (_, part) in words(&text) {
                prop_assert!(text.contains(part));
            }
        }
    }
}
