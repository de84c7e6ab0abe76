use super::*;

#[test]
fn a_secret_survives_its_text_form() {
    let key = SecretKey::from_seed([5; 32]);
    let text = key.to_text();
    assert!(text.starts_with("rescind-ed25519-secret:") && text.ends_with('\n'));
    let read = SecretKey::parse(&text).unwrap();
    assert_eq!(read.public(), key.public());
    assert_eq!(PublicKey::parse(&key.public().to_string()), Ok(key.public()));
    assert_eq!(PublicKey::from_bytes(&key.public().to_bytes()), Ok(key.public()));
}

#[test]
fn s16_errors_never_show_the_secret() {
    let secret = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU";
    let texts = [
        secret.to_owned(),
        format!("rescind-ed25519-secret:{secret}"),
        format!("rescind-ed25519-secret:{secret}=="),
        format!("rescind-ed25519-secret: {secret}="),
        format!("rescind-ed25519-secret:{}", secret.repeat(9)),
        "rescind-ed25519-secret:".to_owned(),
        String::new(),
    ];
    for text in texts {
        let error = SecretKey::parse(&text).err().unwrap();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("BQUF"), "{shown}");
    }
}

#[test]
fn ids_are_the_start_of_the_hash() {
    let key = SecretKey::from_seed([5; 32]);
    let digest: [u8; 32] = Sha256::digest(key.public().to_bytes()).into();
    assert_eq!(key.key_id().0, digest[..8]);
    assert_eq!(key.key_id().to_string().len(), 16);
}

#[test]
fn s7_small_order_and_second_encodings_are_no_keys() {
    let weak = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for hex in weak {
        let bytes: [u8; 32] = hex::decode(hex).unwrap().try_into().unwrap();
        assert!(PublicKey::from_bytes(&bytes).is_err(), "{hex}");
    }
    let identity: [u8; 32] = hex::decode(weak[0]).unwrap().try_into().unwrap();
    assert_eq!(PublicKey::from_bytes(&identity), Err(KeyError::Weak));
    let off_curve = [2; 32];
    assert_eq!(PublicKey::from_bytes(&off_curve), Err(KeyError::NotAPoint));
}

#[test]
fn rfc_8032_vector_2() {
    let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    let key = SecretKey::from_seed(hex::decode(seed).unwrap().try_into().unwrap());
    let signature = key.sign(&[0x72]);
    let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                    085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    assert_eq!(hex::encode(signature), expected);
    assert!(key.public().verifies(&[0x72], &signature));
    assert!(!key.public().verifies(&[0x73], &signature));
}
