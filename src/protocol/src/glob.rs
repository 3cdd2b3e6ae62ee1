//! Glob patterns, with `*` for any number of characters and `?` for one. Upper and lower case are the same.

/// The longest pattern with wildcards, or to be found among words, in characters: longer ones match nothing. So all ways through a
/// pattern fit the bits of one number, and matching takes one step per character of the value, whatever the pattern.
const MAX_PATTERN: usize = 127;

/// A text made ready for patterns.
pub(crate) fn folded(text: &str) -> Vec<char> {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Whether the pattern matches the whole value.
pub fn matches_whole(pattern: &str, value: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        let (pattern, value) = (pattern.chars(), value.chars());
        return pattern.flat_map(char::to_lowercase).eq(value.flat_map(char::to_lowercase));
    }
    let value = folded(value);
    found(pattern, &value, |at| at == 0, |at| at == value.len())
}

/// Whether the pattern matches something in the [`folded`] value that begins and ends at word boundaries.
/// Spec: client-server API, "Conditions for push rules", `event_match` on `content.body`.
pub(crate) fn matches_words(pattern: &str, value: &[char]) -> bool {
    let in_word = |at: usize| value.get(at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_');
    let boundary = |at: usize| at == 0 || !(in_word(at - 1) && in_word(at));
    !pattern.is_empty() && found(pattern, value, boundary, boundary)
}

/// Whether the pattern matches from a place where it may start to one where it may end. Bit `i` of `reached` says that the first `i`
/// characters of the pattern match up to the current place.
fn found(
    pattern: &str,
    value: &[char],
    may_start: impl Fn(usize) -> bool,
    may_end: impl Fn(usize) -> bool,
) -> bool {
    let mut pattern: Vec<char> = pattern.chars().flat_map(char::to_lowercase).collect();
    pattern.dedup_by(|one, other| *one == '*' && *other == '*');
    if pattern.len() > MAX_PATTERN {
        return false;
    }
    let places = |wanted: char| -> u128 {
        let at = pattern.iter().enumerate().filter(|(_, part)| **part == wanted);
        at.map(|(place, _)| 1 << place).sum()
    };
    let (stars, any) = (places('*'), places('?'));
    let mut letters: Vec<(char, u128)> =
        pattern.iter().map(|part| (*part, places(*part))).collect();
    letters.sort_unstable();
    let end = 1 << pattern.len();
    let mut reached = 0_u128;
    for at in 0..=value.len() {
        reached |= u128::from(may_start(at));
        reached |= (reached & stars) << 1;
        if reached & end != 0 && may_end(at) {
            return true;
        }
        let Some(next) = value.get(at) else { break };
        let letter = letters.binary_search_by_key(next, |(letter, _)| *letter);
        let letter = letter.map_or(0, |place| letters[place].1);
        reached = (reached & stars) | ((reached & (any | letter)) << 1);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_values_match_with_wildcards_in_any_case() {
        for (pattern, value) in [
            ("m.room.*", "m.room.message"),
            ("*", ""),
            ("a?c", "aBc"),
            ("*a*b*", "xxAyyB"),
            ("a**c", "ac"),
            ("", ""),
            ("Tea", "tEA"),
            ("?", "\u{1F375}"),
        ] {
            assert!(matches_whole(pattern, value), "{pattern} {value}");
        }
        for (pattern, value) in
            [("m.room", "m.room.message"), ("a?c", "ac"), ("", "a"), ("*b", "ba"), ("?", "")]
        {
            assert!(!matches_whole(pattern, value), "{pattern} {value}");
        }
    }

    #[test]
    fn words_match_between_boundaries() {
        for (pattern, body) in [
            ("tea", "Tea?"),
            ("tea", "some tea, please"),
            ("tea", "teapot tea"),
            ("t*a", "a tisana"),
            ("@room", "hey@room now"),
            ("tea time", "it is tea time!"),
            ("te?", "xtea tex"),
            ("caf\u{e9}", "un caf\u{e9} noir"),
        ] {
            assert!(matches_words(pattern, &folded(body)), "{pattern} {body}");
        }
        for (pattern, body) in [
            ("tea", "teapot"),
            ("tea", "steam"),
            ("", "tea"),
            ("tea", "tea_bag"),
            ("te?", "teapot"),
        ] {
            assert!(!matches_words(pattern, &folded(body)), "{pattern} {body}");
        }
    }

    #[test]
    fn patterns_made_to_hurt_end_soon() {
        let body = "xtea ".repeat(13_000);
        assert!(!matches_words("tea", &folded(&body)));
        assert!(!matches_whole(&"*a".repeat(60), &body));
        assert!(!matches_whole(&"?".repeat(60_000), &body));
        assert!(matches_whole(&format!("{}x*", "*".repeat(60_000)), &body));
    }
}
