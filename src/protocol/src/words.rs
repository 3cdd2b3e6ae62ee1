//! Words of names, as a search for users compares them: without regard to case, accents and punctuation.
//! Spec: client-server API, "User Directory".

use icu_normalizer::DecomposingNormalizerBorrowed;

/// The longest word, in bytes: of longer ones, the beginning counts.
const MAX_WORD: usize = 64;

/// How many words of a text count.
const MAX_WORDS: usize = 16;

/// A text in which only what makes a difference is left: lower case, no accents, compatible forms of a letter alike.
pub fn folded(text: &str) -> String {
    let lower = text.to_lowercase();
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(&lower);
    decomposed.chars().filter(|letter| !is_mark(*letter)).flat_map(char::to_lowercase).collect()
}

/// The different words of a text, folded, in alphabetical order. What is neither letter nor digit separates words.
pub fn words(text: &str) -> Vec<String> {
    let folded = folded(text);
    let all = folded.split(|letter: char| !letter.is_alphanumeric());
    let all = all.filter(|word| !word.is_empty()).take(MAX_WORDS);
    let mut all: Vec<String> = all.map(beginning).map(ToOwned::to_owned).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn beginning(word: &str) -> &str {
    &word[..word.floor_char_boundary(MAX_WORD)]
}

/// Whether a character is an accent that stands over, under or in the one before.
fn is_mark(letter: char) -> bool {
    matches!(
        letter,
        '\u{300}'..='\u{36f}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{fe20}'..='\u{fe2f}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_accents_and_forms_make_no_difference() {
        for (text, expected) in [
            ("Ren\u{e9}e", "renee"),
            ("\u{c5}ngstr\u{f6}m", "angstrom"),
            ("\u{130}stanbul", "istanbul"),
            ("\u{ff21}\u{fb01}", "afi"),
            ("\u{39a}\u{3ac}\u{3c2}", "\u{3ba}\u{3b1}\u{3c2}"),
        ] {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    #[test]
    fn words_are_what_stands_between_other_characters() {
        assert_eq!(words("user-1_alice"), ["1", "alice", "user"]);
        assert_eq!(words("  Alice (Cooper), alice "), ["alice", "cooper"]);
        assert_eq!(words("\u{5c0f}\u{660e}"), ["\u{5c0f}\u{660e}"]);
        assert!(words("--- !").is_empty());
    }

    proptest! {
        #[test]
        fn words_are_few_short_and_folded(text in any::<String>()) {
            let words = words(&text);
            prop_assert!(words.len() <= MAX_WORDS);
            for word in words {
                prop_assert!(!word.is_empty() && word.len() <= MAX_WORD, "{word}");
            }
        }
    }
}
