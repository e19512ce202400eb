//! Entry of the administrator's function that makes workspaces.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    functions::admin::create_workspace::run().await
}
