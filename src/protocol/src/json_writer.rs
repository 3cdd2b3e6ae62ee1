//! Writing a JSON object straight into a string.

/// Writes one object, field by field; the caller gives the fields in the order in which they are to stand.
pub(crate) struct ObjectWriter {
    json: Vec<u8>,
}

impl ObjectWriter {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let mut json = Vec::with_capacity(bytes);
        json.push(b'{');
        Self { json }
    }

    /// A field with a string.
    pub(crate) fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        self.quoted(value);
    }

    /// A field with a string, if there is one.
    pub(crate) fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.string(name, value);
        }
    }

    /// A field with an integer.
    pub(crate) fn integer(&mut self, name: &str, value: u64) {
        self.raw(name, &value.to_string());
    }

    /// A field with `value`, which is JSON already.
    pub(crate) fn raw(&mut self, name: &str, value: &str) {
        self.name(name);
        self.json.extend_from_slice(value.as_bytes());
    }

    /// A field with an object, which `fill` writes.
    pub(crate) fn nested(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.name(name);
        self.json.push(b'{');
        fill(self);
        self.json.push(b'}');
    }

    /// The whole object.
    pub(crate) fn finish(mut self) -> String {
        self.json.push(b'}');
        String::from_utf8(self.json).expect("only whole strings were written")
    }

    fn name(&mut self, name: &str) {
        if self.json.last() != Some(&b'{') {
            self.json.push(b',');
        }
        self.quoted(name);
        self.json.push(b':');
    }

    fn quoted(&mut self, text: &str) {
        serde_json::to_writer(&mut self.json, text).expect("a string is always written to memory");
    }
}
