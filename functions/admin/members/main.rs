//! Entry of the administrator's function that says who is a member of a workspace.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    functions::admin::members::run().await
}
