//! Reads a model's answer while it is being written: a field is known as soon as it closes.
//!
//! The answer is one JSON object keyed by layer. Object layers are reported field by field
//! (`soul.core_desire`), anything else whole (`relations`). Every character is looked at once and every
//! field parsed once, so the time is linear in the text however it is cut into pieces.

use serde_json::{Map, Value};

/// A field that has closed: its path, and its value.
pub type Delta = (String, Value);

/// Why a text holds no whole JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// There is no JSON object in it at all.
    #[error("the answer holds no JSON object")]
    Missing,
    /// The object begins and does not end.
    #[error("the answer ends in the middle of its JSON object")]
    Cut,
    /// What looks like an object is not JSON.
    #[error("the answer is not valid JSON")]
    Invalid,
}

/// Where the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the object: prose, or a code fence.
    Prose,
    /// After a brace that may open the object.
    Opened,
    /// Before a key. An object may also end here if it is still empty.
    Key { may_end: bool },
    /// Inside a key.
    InKey { escaped: bool },
    /// Between a key and its colon.
    Colon,
    /// Before a value.
    Value,
    /// Inside a value.
    InValue {
        depth: u32,
        quoted: bool,
        escaped: bool,
    },
    /// Inside a number or a word.
    InScalar,
    /// After a value.
    Comma,
    /// The object is whole; what follows is ignored.
    Done,
    /// It is not JSON; what follows is ignored.
    Broken,
}

/// A reader of one answer. Feed it with [`push`](Self::push), then ask [`finish`](Self::finish).
#[derive(Debug)]
pub struct LayerStream {
    at: At,
    /// Inside a layer that is an object: its name, and whether a field of it has closed.
    layer: Option<(String, bool)>,
    /// The key before the value that is being read.
    key: String,
    /// The text of the key or value that is being read.
    piece: String,
    /// The object's text from its opening brace on.
    document: String,
    started: bool,
}

impl Default for LayerStream {
    fn default() -> Self {
        Self::new()
    }
}

impl LayerStream {
    /// A reader before the first character.
    pub fn new() -> Self {
        Self {
            at: At::Prose,
            layer: None,
            key: String::new(),
            piece: String::new(),
            document: String::new(),
            started: false,
        }
    }

    /// Takes the next piece of the answer; returns the fields that closed in it, in order.
    pub fn push(&mut self, text: &str) -> Vec<Delta> {
        let mut closed = Vec::new();
        for c in text.chars() {
            if matches!(self.at, At::Done | At::Broken) {
                break;
            }
            self.step(c, &mut closed);
        }
        closed
    }

    /// Whether the object has closed: nothing that follows matters.
    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// The whole object, once the answer has ended.
    ///
    /// # Errors
    /// When the text held no object, an unfinished one, or one that is not JSON.
    pub fn finish(self) -> Result<Value, Malformed> {
        match self.at {
            At::Done => serde_json::from_str(&self.document).map_err(|_| Malformed::Invalid),
            At::Prose | At::Opened => Err(Malformed::Missing),
            At::Broken => Err(Malformed::Invalid),
            _ => Err(Malformed::Cut),
        }
    }

    fn step(&mut self, c: char, closed: &mut Vec<Delta>) {
        let blank = matches!(c, ' ' | '\t' | '\n' | '\r');
        match self.at {
            At::Prose => {
                if c == '{' {
                    self.open();
                }
            }
            At::Opened if blank || c == '{' => {}
            At::Opened if c == '"' || c == '}' => {
                self.at = At::Key { may_end: true };
                self.step(c, closed);
            }
            At::Opened => self.at = At::Prose,
            At::Key { may_end } => match c {
                _ if blank => {}
                '"' => {
                    self.begin_piece(c);
                    self.at = At::InKey { escaped: false };
                }
                '}' if may_end => self.end_object(closed),
                _ => self.fail(c),
            },
            At::InKey { escaped } => self.step_key(c, escaped),
            At::Colon => match c {
                _ if blank => {}
                ':' => {
                    self.document.push(c);
                    self.at = At::Value;
                }
                _ => self.fail(c),
            },
            At::Value => self.begin_value(c, blank),
            At::InValue {
                depth,
                quoted,
                escaped,
            } => {
                self.step_value(c, (depth, quoted, escaped), closed);
            }
            At::InScalar => {
                if blank || matches!(c, ',' | '}' | ']') {
                    self.end_value(closed);
                    self.step(c, closed);
                } else {
                    self.piece.push(c);
                }
            }
            At::Comma => match c {
                _ if blank => {}
                ',' => {
                    self.document.push(c);
                    self.at = At::Key { may_end: false };
                }
                '}' => self.end_object(closed),
                _ => self.fail(c),
            },
            At::Done | At::Broken => {}
        }
    }

    fn open(&mut self) {
        self.document.clear();
        self.document.push('{');
        self.layer = None;
        self.at = At::Opened;
    }

    fn begin_piece(&mut self, c: char) {
        self.piece.clear();
        self.piece.push(c);
    }

    fn step_key(&mut self, c: char, escaped: bool) {
        push_quoted(&mut self.piece, c);
        if c != '"' || escaped {
            self.at = At::InKey {
                escaped: c == '\\' && !escaped,
            };
            return;
        }
        match serde_json::from_str(&self.piece) {
            Ok(key) => {
                self.key = key;
                self.document.push_str(&self.piece);
                self.at = At::Colon;
            }
            Err(_) => self.fail(c),
        }
    }

    fn begin_value(&mut self, c: char, blank: bool) {
        match c {
            _ if blank => {}
            '{' if self.layer.is_none() => {
                self.document.push(c);
                self.layer = Some((std::mem::take(&mut self.key), false));
                self.at = At::Key { may_end: true };
            }
            '{' | '[' => {
                self.begin_piece(c);
                self.at = At::InValue {
                    depth: 1,
                    quoted: false,
                    escaped: false,
                };
            }
            '"' => {
                self.begin_piece(c);
                self.at = At::InValue {
                    depth: 0,
                    quoted: true,
                    escaped: false,
                };
            }
            ',' | '}' | ']' | ':' => self.fail(c),
            _ => {
                self.begin_piece(c);
                self.at = At::InScalar;
            }
        }
    }

    fn step_value(
        &mut self,
        c: char,
        (depth, quoted, escaped): (u32, bool, bool),
        closed: &mut Vec<Delta>,
    ) {
        if quoted {
            push_quoted(&mut self.piece, c);
        } else {
            self.piece.push(c);
        }
        let (depth, quoted, escaped) = match c {
            _ if escaped => (depth, quoted, false),
            '\\' if quoted => (depth, quoted, true),
            '"' => (depth, !quoted, false),
            '{' | '[' if !quoted => (depth + 1, quoted, false),
            '}' | ']' if !quoted => (depth - 1, quoted, false),
            _ => (depth, quoted, false),
        };
        self.at = At::InValue {
            depth,
            quoted,
            escaped,
        };
        if depth == 0 && !quoted {
            self.end_value(closed);
        }
    }

    fn end_value(&mut self, closed: &mut Vec<Delta>) {
        let Ok(value) = serde_json::from_str(&self.piece) else {
            // The piece's last character has been dealt with, so it opens nothing.
            self.fail(' ');
            return;
        };
        self.document.push_str(&self.piece);
        self.at = At::Comma;
        self.started = true;
        let key = std::mem::take(&mut self.key);
        match &mut self.layer {
            Some((layer, any)) => {
                *any = true;
                closed.push((format!("{layer}.{key}"), value));
            }
            None => closed.push((key, value)),
        }
    }

    fn end_object(&mut self, closed: &mut Vec<Delta>) {
        self.document.push('}');
        match self.layer.take() {
            Some((layer, any)) => {
                if !any {
                    closed.push((layer, Value::Object(Map::new())));
                }
                self.at = At::Comma;
            }
            None => self.at = At::Done,
        }
    }

    /// Braces in prose look like an object at first: as long as no field was reported, look further.
    fn fail(&mut self, c: char) {
        if self.started {
            self.at = At::Broken;
        } else if c == '{' {
            self.open();
        } else {
            self.at = At::Prose;
        }
    }
}

/// A character inside a string. Models write line breaks raw at times; JSON wants them escaped.
fn push_quoted(piece: &mut String, c: char) {
    match c {
        '\n' => piece.push_str("\\n"),
        '\r' => piece.push_str("\\r"),
        '\t' => piece.push_str("\\t"),
        _ => piece.push(c),
    }
}

/// The JSON object in a whole answer, whatever stands around it.
///
/// # Errors
/// When there is none, it is cut, or it is not JSON.
pub fn complete_json(text: &str) -> Result<Value, Malformed> {
    let mut stream = LayerStream::new();
    stream.push(text);
    stream.finish()
}

/// Sets `path` (`layer.field`, or `layer`) of `document`, making objects where there are none.
pub fn apply_delta(document: &mut Value, path: &str, value: Value) {
    match path.split_once('.') {
        Some((layer, field)) => {
            object(object(document).entry(layer).or_insert(Value::Null))
                .insert(field.to_owned(), value);
        }
        None => {
            object(document).insert(path.to_owned(), value);
        }
    }
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made an object above"),
    }
}

/// The deltas that turn `applied` into `wanted`, in the order of `wanted`: single fields where that
/// suffices, a whole layer where one of its fields has to go. A layer that `wanted` lacks is left alone.
pub fn deltas_between(applied: &Value, wanted: &Value) -> Vec<Delta> {
    let mut deltas = Vec::new();
    for (layer, value) in wanted.as_object().into_iter().flatten() {
        let before = applied.get(layer);
        match (value, before.unwrap_or(&Value::Null)) {
            (Value::Object(fields), Value::Object(old))
                if old.keys().all(|key| fields.contains_key(key)) =>
            {
                deltas.extend(changed_fields(layer, fields, Some(old)));
            }
            (Value::Object(fields), Value::Null) if !fields.is_empty() => {
                deltas.extend(changed_fields(layer, fields, None));
            }
            _ if before == Some(value) => {}
            _ => deltas.push((layer.clone(), value.clone())),
        }
    }
    deltas
}

fn changed_fields<'a>(
    layer: &'a str,
    fields: &'a Map<String, Value>,
    old: Option<&'a Map<String, Value>>,
) -> impl Iterator<Item = Delta> + 'a {
    fields
        .iter()
        .filter(move |(key, value)| old.and_then(|old| old.get(*key)) != Some(value))
        .map(move |(key, value)| (format!("{layer}.{key}"), value.clone()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use std::time::Instant;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn applied(deltas: &[Delta]) -> Value {
        let mut document = json!({});
        for (path, value) in deltas {
            apply_delta(&mut document, path, value.clone());
        }
        document
    }

    #[test]
    fn a_field_is_known_when_it_closes_not_when_its_layer_does() {
        let mut stream = LayerStream::new();
        assert_eq!(stream.push("{\"soul\": {\"core_desire\": \"To be se"), []);
        assert_eq!(
            stream.push("en\""),
            [("soul.core_desire".into(), json!("To be seen"))]
        );
        assert_eq!(stream.push(", \"weight\": 0."), []);
        assert_eq!(stream.push("5}"), [("soul.weight".into(), json!(0.5))]);
        assert!(!stream.is_done());
        assert_eq!(stream.push("}"), []);
        assert!(stream.is_done());
    }

    #[test]
    fn an_array_layer_comes_whole() {
        let text = r#"{"relations":[{"name":"]}"}],"scenario":{"setting":"x"},"empty":{}}"#;
        assert_eq!(
            LayerStream::new().push(text),
            [
                ("relations".into(), json!([{"name": "]}"}])),
                ("scenario.setting".into(), json!("x")),
                ("empty".into(), json!({}))
            ]
        );
    }

    #[test]
    fn prose_fences_and_trailing_text_are_ignored() {
        for text in [
            "Here you are:\n```json\n{\"soul\":{\"wound\":\"a\"}}\n```\nAnything else? {\"soul\":{}}",
            "{{\"soul\":{\"wound\":\"a\"}}",
            "A set {a, b} and {\"x\" of y} first. {\"soul\" : {\"wound\" :\"a\"} }",
        ] {
            assert_eq!(
                complete_json(text),
                Ok(json!({"soul": {"wound": "a"}})),
                "{text}"
            );
        }
    }

    #[test]
    fn a_raw_line_break_inside_a_string_is_taken_as_meant() {
        assert_eq!(
            complete_json("{\"a\":{\"b\":\"one\ntwo\"}}"),
            Ok(json!({"a": {"b": "one\ntwo"}}))
        );
    }

    #[test]
    fn the_last_of_a_repeated_key_wins() {
        let text = r#"{"soul":{"wound":"a","wound":"b"}}"#;
        let mut stream = LayerStream::new();
        let deltas = stream.push(text);
        assert_eq!(applied(&deltas), json!({"soul": {"wound": "b"}}));
        assert_eq!(stream.finish(), Ok(json!({"soul": {"wound": "b"}})));
    }

    #[test]
    fn what_is_wrong_with_an_answer_is_told_apart() {
        assert_eq!(complete_json("I cannot do that."), Err(Malformed::Missing));
        assert_eq!(complete_json(r#"{"soul":{"wound":"a"#), Err(Malformed::Cut));
        assert_eq!(
            complete_json(r#"{"soul":{"wound":"a","b":}}"#),
            Err(Malformed::Invalid)
        );
        assert_eq!(
            complete_json(r#"{"soul":{"wound":"a"]}"#),
            Err(Malformed::Invalid)
        );
    }

    #[test]
    fn deltas_reconcile_what_was_sent_with_what_was_repaired() {
        let sent = json!({"soul": {"wound": "a", "odd": 1}, "identity": {"age": 1, "name": "N"}, "relations": [1]});
        let wanted = json!({"soul": {"wound": "a"}, "identity": {"age": 2, "name": "N"}, "relations": [1], "voice": {"tone": "t"}});
        let deltas = deltas_between(&sent, &wanted);
        assert_eq!(
            deltas,
            [
                ("soul".into(), json!({"wound": "a"})),
                ("identity.age".into(), json!(2)),
                ("voice.tone".into(), json!("t"))
            ]
        );
    }

    #[test]
    fn a_long_answer_takes_linear_time() {
        let text = |n: usize| format!("{{\"soul\":{{\"wound\":\"{}\"}}}}", "x\\\" {".repeat(n));
        let taken = |text: &str| {
            let start = Instant::now();
            let mut stream = LayerStream::new();
            for c in text.chars() {
                stream.push(c.encode_utf8(&mut [0; 4]));
            }
            assert!(stream.is_done());
            start.elapsed().as_secs_f64()
        };
        let small = (0..5)
            .map(|_| taken(&text(20_000)))
            .fold(f64::MAX, f64::min);
        let large = (0..5)
            .map(|_| taken(&text(160_000)))
            .fold(f64::MAX, f64::min);
        assert!(
            large < small * 24.0,
            "8 times the text took {:.1} times as long",
            large / small
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e6f64..1e6).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[{}\\[\\]\":,\\\\ü🦊\n]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"\\\\é. ]{0,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn any_document() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("[a-z\"é\\\\]{1,6}", any_json(), 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    fn cut<'a>(text: &'a str, lengths: &[usize]) -> Vec<&'a str> {
        let mut rest = text;
        let mut pieces = Vec::new();
        for length in lengths.iter().cycle() {
            let end = rest
                .char_indices()
                .nth(*length)
                .map_or(rest.len(), |(at, _)| at);
            let (piece, after) = rest.split_at(end);
            pieces.push(piece);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        pieces
    }

    proptest! {
        #[test]
        fn however_the_text_is_cut_the_fields_are_the_same_and_make_the_document(
            document in any_document(),
            pretty: bool,
            lengths in prop::collection::vec(1usize..9, 1..20),
        ) {
            let json = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
            let text = format!("Sure! ```json\n{}\n```\nDone.", json.unwrap());
            let at_once = LayerStream::new().push(&text);
            let mut stream = LayerStream::new();
            let pieces: Vec<_> = cut(&text, &lengths).into_iter().flat_map(|piece| stream.push(piece)).collect();
            prop_assert_eq!(&pieces, &at_once);
            prop_assert_eq!(applied(&pieces), document.clone());
            prop_assert_eq!(stream.finish(), Ok(document));
        }

        #[test]
        fn deltas_lead_from_any_document_to_any_other(before in any_document(), wanted in any_document()) {
            let mut document = before.clone();
            for (path, value) in deltas_between(&before, &wanted) {
                apply_delta(&mut document, &path, value);
            }
            for (layer, value) in wanted.as_object().unwrap() {
                prop_assert_eq!(&document[layer.as_str()], value);
            }
        }

        #[test]
        fn no_text_makes_it_fail(text in "[{}\\[\\]\":,\\\\a1 \n]{0,60}") {
            let mut stream = LayerStream::new();
            stream.push(&text);
            let _ = stream.finish();
        }
    }
}
