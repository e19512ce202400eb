//! Entry of the Lambda behind `personas-update`.
use functions::{
    personas::update::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
