//! Entry of the Lambda that answers what no route does.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    functions::fallback::run().await
}
