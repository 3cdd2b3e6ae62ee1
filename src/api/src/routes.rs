//! Which route a path leads to.
//!
//! A tree of path segments, matched on the bytes the client sent: a segment is percent-decoded only after it
//! matched, so `%2F` never separates segments, and an empty last segment is a segment (`/state/{type}/`).

use std::{borrow::Cow, collections::HashMap};

use http::Method;
use percent_encoding::percent_decode_str;
use ruma::api::error::ErrorKind;

use crate::MatrixError;

/// A tree from path patterns such as `/rooms/{room_id}/join` to a `T` per method.
pub(crate) struct PathTree<T> {
    root: Node<T>,
}

struct Node<T> {
    /// Children by their literal segment; they win over `argument`.
    literals: HashMap<&'static str, Node<T>>,
    argument: Option<Box<Node<T>>>,
    methods: Vec<(Method, T)>,
}

/// What a path and method lead to.
pub(crate) enum Match<'t, 'p, T> {
    Found {
        route: &'t T,
        /// The path's arguments as sent, still percent-encoded.
        arguments: Vec<&'p str>,
    },
    /// The path exists, with these methods.
    WrongMethod(Vec<Method>),
    UnknownPath,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literals: HashMap::new(), argument: None, methods: Vec::new() }
    }
}

impl<T> Default for PathTree<T> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<T> PathTree<T> {
    /// Adds a route; what `pattern` and `method` led to before is returned.
    pub(crate) fn insert(&mut self, method: Method, pattern: &'static str, route: T) -> Option<T> {
        let mut node = &mut self.root;
        for segment in segments(pattern) {
            node = if segment.starts_with('{') {
                node.argument.get_or_insert_default()
            } else {
                node.literals.entry(segment).or_default()
            };
        }
        let before = node.methods.iter().position(|(known, _)| *known == method);
        let before = before.map(|at| node.methods.swap_remove(at).1);
        node.methods.push((method, route));
        before
    }

    /// What `path` leads to. `HEAD` is answered where `GET` is.
    pub(crate) fn find<'p>(&self, method: &Method, path: &'p str) -> Match<'_, 'p, T> {
        let mut arguments = Vec::new();
        let segments: Vec<&'p str> = segments(path).collect();
        let Some(node) = self.root.find(&segments, &mut arguments) else {
            return Match::UnknownPath;
        };
        let wanted = if *method == Method::HEAD { &Method::GET } else { method };
        match node.methods.iter().find(|(known, _)| known == wanted) {
            Some((_, route)) => Match::Found { route, arguments },
            None => {
                Match::WrongMethod(node.methods.iter().map(|(known, _)| known.clone()).collect())
            }
        }
    }
}

impl<T> Node<T> {
    /// Walks down the literal first and the argument second, so that `/rooms/x/state` does not hide
    /// `/rooms/{id}/join`. Depth is bounded by the patterns, not by the path.
    fn find<'p>(&self, path: &[&'p str], arguments: &mut Vec<&'p str>) -> Option<&Self> {
        let Some((segment, rest)) = path.split_first() else {
            return (!self.methods.is_empty()).then_some(self);
        };
        if let Some(found) =
            self.literals.get::<str>(segment).and_then(|child| child.find(rest, arguments))
        {
            return Some(found);
        }
        let child = self.argument.as_ref()?;
        let known = arguments.len();
        arguments.push(segment);
        let found = child.find(rest, arguments);
        if found.is_none() {
            arguments.truncate(known);
        }
        found
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// Bytes of the longest path argument. Identifiers have 255; names that clients choose, such as those of transactions
/// and push rules, have no bound in the specification, and become keys in the store.
const MAX_ARGUMENT: usize = 1_024;

/// Decodes a path argument; `+` stays a plus, as in any URL path.
pub(crate) fn decode_argument(argument: &str) -> Result<Cow<'_, str>, MatrixError> {
    let invalid = |message| MatrixError::bad_request(ErrorKind::InvalidParam, message);
    let decoded = percent_decode_str(argument).decode_utf8();
    let decoded = decoded.map_err(|_| invalid("a path segment is not UTF-8"))?;
    if decoded.len() > MAX_ARGUMENT {
        return Err(invalid("a path segment is longer than 1024 bytes"));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(patterns: &[&'static str]) -> PathTree<&'static str> {
        let mut tree = PathTree::default();
        for pattern in patterns {
            tree.insert(Method::GET, pattern, *pattern);
        }
        tree
    }

    fn found<'p>(tree: &PathTree<&'static str>, path: &'p str) -> (&'static str, Vec<&'p str>) {
        match tree.find(&Method::GET, path) {
            Match::Found { route, arguments } => (route, arguments),
            Match::WrongMethod(_) => ("wrong method", vec![]),
            Match::UnknownPath => ("unknown", vec![]),
        }
    }

    #[test]
    fn a_literal_segment_wins_and_does_not_hide_an_argument() {
        let tree = tree(&["/a/{x}/b", "/a/c/d", "/a/{x}"]);

        assert_eq!(found(&tree, "/a/c/d"), ("/a/c/d", vec![]));
        assert_eq!(found(&tree, "/a/c/b"), ("/a/{x}/b", vec!["c"]));
        assert_eq!(found(&tree, "/a/c"), ("/a/{x}", vec!["c"]));
        assert_eq!(found(&tree, "/a"), ("unknown", vec![]));
        assert_eq!(found(&tree, "/a/c/d/e"), ("unknown", vec![]));
    }

    #[test]
    fn an_empty_last_segment_is_an_argument() {
        let tree = tree(&["/state/{type}/{key}", "/state/{type}", "/pushrules/"]);

        assert_eq!(
            found(&tree, "/state/m.room.name/"),
            ("/state/{type}/{key}", vec!["m.room.name", ""])
        );
        assert_eq!(found(&tree, "/state/m.room.name"), ("/state/{type}", vec!["m.room.name"]));
        assert_eq!(found(&tree, "/pushrules/").0, "/pushrules/");
        assert_eq!(found(&tree, "/pushrules").0, "unknown");
    }

    #[test]
    fn an_encoded_slash_does_not_separate_segments() {
        let tree = tree(&["/room/{alias}"]);

        assert_eq!(found(&tree, "/room/%23a%2Fb:c+d"), ("/room/{alias}", vec!["%23a%2Fb:c+d"]));
        assert_eq!(decode_argument("%23a%2Fb:c+d").unwrap(), "#a/b:c+d");
        assert!(decode_argument("%ff").is_err());
        assert!(decode_argument(&"%41".repeat(1_024)).is_ok());
        assert!(decode_argument(&"a".repeat(1_025)).is_err());
    }

    #[test]
    fn another_method_of_a_known_path_is_told_apart_from_an_unknown_path() {
        let tree = tree(&["/a"]);

        assert!(matches!(tree.find(&Method::HEAD, "/a"), Match::Found { .. }));
        let Match::WrongMethod(allowed) = tree.find(&Method::POST, "/a") else {
            panic!("POST is not routed");
        };
        assert_eq!(allowed, [Method::GET]);
        assert!(matches!(tree.find(&Method::POST, "/b"), Match::UnknownPath));
    }
}
