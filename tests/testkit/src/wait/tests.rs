use super::*;

#[tokio::test]
async fn a_wait_ends_with_the_condition_or_with_its_limit() {
    let mut looks = 0;
    let limit = Duration::from_secs(5);
    let took = until("three looks", limit, || {
        looks += 1;
        looks == 3
    });
    assert!(took.await.unwrap() < limit && looks == 3);
    let error = until("pigs fly", Duration::from_millis(20), || false).await.unwrap_err();
    assert!(error.to_string().contains("pigs fly"), "{error}");
}

#[tokio::test]
async fn always_sees_a_single_break() {
    let mut looks = 0;
    let broken = always("below five", Duration::from_secs(5), || {
        looks += 1;
        looks < 5
    });
    assert!(broken.await.is_err());
    always("true", Duration::from_millis(20), || true).await.unwrap();
}

#[tokio::test]
async fn a_question_is_repeated_until_it_has_an_answer_or_fails() {
    let asked = std::cell::Cell::new(0);
    let limit = Duration::from_secs(5);
    let answer = until_answer("three questions", limit, || async {
        asked.set(asked.get() + 1);
        Ok((asked.get() == 3).then_some("yes"))
    });
    assert_eq!(answer.await.unwrap(), "yes");
    let never = until_answer("pigs fly", Duration::from_millis(20), || async { Ok(None::<()>) });
    assert!(never.await.unwrap_err().to_string().contains("pigs fly"));
    let broken = until_answer("x", limit, || async { Err::<Option<()>, _>(KitError::new("gone")) });
    assert_eq!(broken.await.unwrap_err().to_string(), "gone");
}
