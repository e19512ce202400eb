//! Entry of the Lambda behind `fields-create`.
use functions::{
    schema::fields::create::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
