//! How soon the functions for AWS Lambda answer, as they are deployed.

use crate::{
    dynamodb,
    outcome::Outcome,
    package::{PackageOptions, package},
};

/// Measures the starts of the functions as they are deployed.
pub(crate) fn measure() -> Outcome {
    dynamodb::measure_functions(&package(&PackageOptions::default())?)
}
