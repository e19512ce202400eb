//! Routes of `/v1/schema/fields`.

pub mod create;
pub mod delete;
pub mod list;

use persona::{Error, error::Code};

/// 409 of a field that personas have.
fn in_use(name: &str, uses: u64, what: &str) -> Error {
    let users = if uses == 1 { "1 persona has".to_owned() } else { format!("{uses} personas have") };
    Error::new(
        Code::FieldInUse,
        format!(
            "The custom field \"{name}\" cannot be {what}: {users} it, runs that will make one included. Take it out of them first."
        ),
    )
    .with_param("name")
}
