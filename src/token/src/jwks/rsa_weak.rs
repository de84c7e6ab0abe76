//! RSA moduli that are known to be weak, found without factoring.

/// Primes up to 167: those whose product every ROCA prime of 512 bits and more is built on.
const SMALL_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// The generator of the flawed key generator. Spec: CVE-2017-15361.
const ROCA_GENERATOR: u32 = 65_537;

/// Whether a modulus (big-endian) is even, has a small factor, or carries the ROCA fingerprint.
///
/// The fingerprint: modulo every small prime the modulus is a power of 65537. A sound modulus does that by
/// chance about once in 2^28. Cost: a few microseconds, once per loaded key.
pub(super) fn is_weak(modulus: &[u8]) -> bool {
    if modulus.last().is_none_or(|last| last.is_multiple_of(2)) {
        return true;
    }
    let remainder =
        |prime: u32| modulus.iter().fold(0_u32, |sum, &byte| ((sum << 8) | u32::from(byte)) % prime);
    if SMALL_PRIMES.into_iter().any(|prime| remainder(prime) == 0) {
        return true;
    }
    SMALL_PRIMES.into_iter().all(|prime| is_generated(remainder(prime), prime))
}

fn is_generated(remainder: u32, prime: u32) -> bool {
    let mut power = 1;
    for _ in 0..prime {
        if power == remainder {
            return true;
        }
        power = power * (ROCA_GENERATOR % prime) % prime;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_power(value: u32, prime: u32) -> bool {
        is_generated(value % prime, prime)
    }

    #[test]
    fn finds_the_fingerprint() {
        // 65537^100 mod 2^n has no meaning here; a plain power of the generator is the purest fingerprint.
        let mut number = vec![1_u8];
        for _ in 0..20 {
            number = times_generator(&number);
        }
        assert!(is_weak(&number));
        number[0] ^= 0x10;
        assert!(!is_weak(&number) || number.last().unwrap() % 2 == 0);
    }

    #[test]
    fn finds_even_and_small_factors() {
        assert!(is_weak(&[]));
        assert!(is_weak(&[0x80, 0x00]));
        assert!(is_weak(&[0x01, 0x05])); // 261 = 9 * 29
        assert!(!is_weak(&[0x01, 0x0f])); // 271 is prime, and no power of 65537 modulo every small prime
        assert!(is_power(65_537, 11) && is_power(1, 13) && !is_power(2, 11 * 3));
    }

    /// Big-endian multiplication by 65537 = (number << 16) + number.
    fn times_generator(number: &[u8]) -> Vec<u8> {
        let mut shifted = number.to_vec();
        shifted.extend_from_slice(&[0, 0]);
        let mut carry = 0_u16;
        let offset = shifted.len() - number.len();
        for index in (0..shifted.len()).rev() {
            let addend = if index >= offset { u16::from(number[index - offset]) } else { 0 };
            let sum = u16::from(shifted[index]) + addend + carry;
            shifted[index] = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
        if carry > 0 {
            shifted.insert(0, u8::try_from(carry).unwrap());
        }
        shifted
    }
}
