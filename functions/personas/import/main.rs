//! Entry of the Lambda behind `personas-import`.
use functions::{
    personas::import::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
