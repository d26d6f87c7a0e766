//! JSON numbers to doubles, correctly rounded.

/// The powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
/// Up to here a double holds every whole number.
const MOST_EXACT: u64 = 1 << 53;
/// As many digits as never overflow the whole number that is gathered.
const MOST_DIGITS: usize = 19;

/// The double nearest to a JSON number; infinite where it is too large.
pub(crate) fn parse(number: &str) -> f64 {
    match short_decimal(number.as_bytes()) {
        Some(value) => value,
        // The grammar of JSON numbers is part of that of `f64::from_str`.
        None => number.parse().unwrap_or(f64::NAN),
    }
}

/// A number without exponent whose digits and power of ten are both exact doubles, so that their quotient is rounded only once
/// (Clinger 1990, "How to read floating point numbers accurately").
fn short_decimal(number: &[u8]) -> Option<f64> {
    let (negative, digits) = match number.split_first() {
        Some((b'-', digits)) => (true, digits),
        _ => (false, number),
    };
    if digits.len() > MOST_DIGITS {
        return None;
    }
    let mut whole: u64 = 0;
    let mut point = None;
    for (index, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => whole = whole * 10 + u64::from(byte - b'0'),
            b'.' => point = Some(index + 1),
            _ => return None,
        }
    }
    if whole > MOST_EXACT {
        return None;
    }
    let decimals = point.map_or(0, |point| digits.len() - point);
    let value = whole as f64 / EXACT_POWERS.get(decimals)?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn every_number_is_rounded_as_the_standard_library_rounds_it(
            number in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        ) {
            prop_assert_eq!(parse(&number).to_bits(), number.parse::<f64>().unwrap().to_bits());
        }

        #[test]
        fn every_double_comes_back_from_its_shortest_text(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            prop_assert_eq!(parse(ryu::Buffer::new().format_finite(value)).to_bits(), value.to_bits());
        }
    }
}
