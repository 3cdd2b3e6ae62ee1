//! How large an event and its parts may be.
//! Spec: client-server API, "Size limits"; room versions, "Event format".

/// Bytes of a whole event in canonical JSON, signatures included.
pub const EVENT: usize = 65_536;
/// Bytes of `sender`, `room_id`, `state_key`, `type` and `event_id`.
pub const IDENTIFIER: usize = 255;
/// Entries of `prev_events`.
pub const PREV_EVENTS: usize = 20;
/// Entries of `auth_events`.
pub const AUTH_EVENTS: usize = 10;

/// How deep the content of an event, or any JSON of a client, may nest. The specification names no bound, but parsers have one:
/// serde's is 128, and an event is shown within other JSON, such as the `unsigned` of another event.
pub const NESTING: usize = 100;

/// Whether JSON nests deeper than [`NESTING`]. Counts brackets, so what is no JSON is for a parser to find out.
pub fn nests_too_deep(json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > NESTING {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_outside_of_strings() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!nests_too_deep(nested(NESTING).as_bytes()));
        assert!(nests_too_deep(nested(NESTING + 1).as_bytes()));
        assert!(!nests_too_deep(format!("[{}]", ["{}"; 200].join(",")).as_bytes()));
        let brackets = "[".repeat(200);
        assert!(!nests_too_deep(format!(r#"["{brackets}\\\"{brackets}"]"#).as_bytes()));
        assert!(nests_too_deep(format!(r#"["\\",{brackets}"#).as_bytes()));
    }
}
