//! Entry of the worker `worker-reaper`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    functions::workers::reaper::run().await
}
