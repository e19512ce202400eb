//! Entry of the Lambda behind `conversations-drift`.
use functions::{
    conversations::drift::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
