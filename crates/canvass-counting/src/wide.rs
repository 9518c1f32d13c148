//! Products of two 128-bit numbers, which transfer values and keep factors need on the way to a number that fits again.

/// The 256-bit product, high half first, so that tuples compare as the products do.
pub(crate) fn multiply(a: u128, b: u128) -> (u128, u128) {
    const LOW: u128 = u64::MAX as u128;
    let (a_high, a_low, b_high, b_low) = (a >> 64, a & LOW, b >> 64, b & LOW);
    let low = a_low * b_low;
    let middle = a_high * b_low + (low >> 64);
    let middle_low = a_low * b_high + (middle & LOW);
    let high = a_high * b_high + (middle >> 64) + (middle_low >> 64);
    (high, (middle_low << 64) | (low & LOW))
}

/// `a * b / divisor` truncated, and the remainder; none if the quotient needs more than 128 bits or the divisor is 0.
pub(crate) fn multiply_divide(a: u128, b: u128, divisor: u128) -> Option<(u128, u128)> {
    if let Some(product) = a.checked_mul(b) {
        return Some((product.checked_div(divisor)?, product % divisor));
    }
    let (mut remainder, mut low) = multiply(a, b);
    if remainder >= divisor {
        return None;
    }
    let mut quotient = 0;
    for _ in 0..u128::BITS {
        let carry = remainder >> 127;
        remainder = (remainder << 1) | (low >> 127);
        low <<= 1;
        quotient <<= 1;
        if carry == 1 || remainder >= divisor {
            remainder = remainder.wrapping_sub(divisor);
            quotient |= 1;
        }
    }
    Some((quotient, remainder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_exact() {
        assert_eq!(multiply(u128::MAX, u128::MAX), (u128::MAX - 1, 1));
        assert_eq!(multiply(1 << 100, 1 << 100), (1 << 72, 0));
        assert_eq!(multiply(7, 6), (0, 42));
    }

    #[test]
    fn quotients_are_exact() {
        assert_eq!(multiply_divide(7, 6, 5), Some((8, 2)));
        assert_eq!(multiply_divide(u128::MAX, u128::MAX - 1, u128::MAX), Some((u128::MAX - 1, 0)));
        assert_eq!(multiply_divide(u128::MAX - 1, u128::MAX - 1, u128::MAX), Some((u128::MAX - 2, 1)));
        assert_eq!(multiply_divide(1 << 127, 3, 1 << 126), Some((6, 0)));
        assert_eq!(multiply_divide(u128::MAX, 3, 2), None);
        assert_eq!(multiply_divide(5, 5, 0), None);
    }
}
