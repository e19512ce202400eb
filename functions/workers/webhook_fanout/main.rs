//! Entry of the worker `worker-webhook-fanout`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    functions::workers::webhook_fanout::run().await
}
