//! Entry of the Lambda behind `completions-create`.
use functions::{
    openai::chat::completions::create::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
