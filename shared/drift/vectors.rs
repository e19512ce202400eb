//! Arithmetic of embeddings.

/// Vectors of length 1.
pub(super) type Rows = Vec<Vec<f64>>;

/// Of length 1; a vector without length stays as it is.
pub(super) fn unit(vector: &[f32]) -> Vec<f64> {
    let mut made: Vec<f64> = vector.iter().map(|number| f64::from(*number)).collect();
    scale(&mut made);
    made
}

/// The mean of vectors that are of one size; `None` of none.
pub(super) fn mean(vectors: &[Vec<f64>]) -> Option<Vec<f64>> {
    let mut sum = vectors.first()?.clone();
    for vector in &vectors[1..] {
        for (sum, number) in sum.iter_mut().zip(vector) {
            *sum += number;
        }
    }
    for sum in &mut sum {
        *sum /= vectors.len() as f64;
    }
    Some(sum)
}

/// What is left of a vector without another, of length 1.
pub(super) fn direction(from: &[f64], to: &[f64]) -> Vec<f64> {
    let mut way: Vec<f64> = to.iter().zip(from).map(|(to, from)| to - from).collect();
    scale(&mut way);
    way
}

/// The product: the cosine, where both have length 1.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn scale(vector: &mut [f64]) {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        for number in vector {
            *number /= length;
        }
    }
}
