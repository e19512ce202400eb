//! Entry of the worker `worker-webhook-deliveries`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    functions::workers::webhook_deliveries::run().await
}
