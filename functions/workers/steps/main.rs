//! Entry of the worker `worker-steps`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    functions::workers::steps::run().await
}
