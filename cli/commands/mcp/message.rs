//! A message of JSON-RPC as a line of standard input: relayed as it came, and read only for where it belongs.

use serde::Deserialize;
use serde_json::{Value, json};

/// Where stateless revisions of the protocol name themselves in each message.
const VERSION_IN_META: &str = "io.modelcontextprotocol/protocolVersion";

/// A message from the host.
#[derive(Debug)]
pub(super) struct Message {
    /// The line.
    pub text: String,
    /// What names it, if it wants an answer.
    pub id: Option<Value>,
    /// What it asks for; nothing where it answers.
    pub method: Option<String>,
    params: Value,
}

#[derive(Deserialize)]
struct Envelope {
    id: Option<Value>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
}

impl Message {
    /// Reads a line; where it is none of JSON-RPC, the error to answer with.
    pub(super) fn read(text: String) -> Result<Self, Value> {
        let value: Value = serde_json::from_str(&text).map_err(|error| {
            answer(&Value::Null, -32700, &format!("The line is not JSON, column {}.", error.column()), None)
        })?;
        let invalid = || answer(&value["id"], -32600, "The line is no message of JSON-RPC 2.0.", None);
        if value["jsonrpc"] != "2.0" {
            return Err(invalid());
        }
        let Envelope { id, method, params } = Envelope::deserialize(&value).map_err(|_| invalid())?;
        // What has no method answers a question of the service's; nobody answers that.
        let id = id.filter(|_| method.is_some());
        Ok(Self { text, id, method, params })
    }

    /// Whether it settles the revision that all others speak.
    pub(super) fn begins(&self) -> bool {
        self.method.as_deref() == Some("initialize")
    }

    /// The request that it cancels.
    pub(super) fn cancels(&self) -> Option<&Value> {
        self.params.get("requestId").filter(|_| self.method.as_deref() == Some("notifications/cancelled"))
    }

    /// The revision that it names itself.
    pub(super) fn version(&self) -> Option<&str> {
        self.params.get("_meta")?.get(VERSION_IN_META)?.as_str()
    }

    /// What it is about, as the header `Mcp-Name` says it.
    pub(super) fn name(&self) -> Option<&str> {
        let key = match self.method.as_deref()? {
            "tools/call" | "prompts/get" => "name",
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => "uri",
            _ => return None,
        };
        self.params.get(key)?.as_str()
    }
}

/// An error in answer to a message.
pub(super) fn answer(id: &Value, code: i64, message: &str, data: Option<Value>) -> Value {
    let mut error = json!({"code": code, "message": message});
    if let Some(data) = data {
        error["data"] = data;
    }
    json!({"jsonrpc": "2.0", "id": id, "error": error})
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;

    fn read(text: &str) -> Message {
        Message::read(text.to_owned()).unwrap()
    }

    #[test]
    fn messages_are_read_for_where_they_belong() {
        let call = read(
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"chat_with_ada","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
        );
        assert_eq!(
            (call.id.as_ref(), call.name(), call.version()),
            (Some(&json!(7)), Some("chat_with_ada"), Some("2026-07-28"))
        );
        let read_one =
            read(r#"{"jsonrpc":"2.0","id":"a","method":"resources/read","params":{"uri":"persona://ada"}}"#);
        assert_eq!((read_one.name(), read_one.version()), (Some("persona://ada"), None));
        let cancelled =
            read(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#);
        assert_eq!((cancelled.cancels(), cancelled.id.is_none()), (Some(&json!(7)), true));
        assert!(read(r#"{"jsonrpc":"2.0","id":3,"result":{}}"#).id.is_none());
    }

    #[test]
    fn what_is_no_message_is_answered() {
        for (text, code) in
            [("{", -32700), ("", -32700), ("[]", -32600), (r#"{"id":1,"method":"ping"}"#, -32600)]
        {
            assert_eq!(Message::read(text.to_owned()).unwrap_err()["error"]["code"], code, "{text}");
        }
    }
}
