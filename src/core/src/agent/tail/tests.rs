use super::*;
use crate::agent::tests::support::Author;

fn entry(author: &mut Author, id: u64, bytes: usize) -> ChainedEntry {
    ChainedEntry { message: Some(vec![0; bytes].into()), ..author.deny(id) }
}

#[test]
fn entries_after_a_place_are_given_in_order() {
    let (mut author, mut tail) = (Author::new(), Tail::default());
    (1..=5).for_each(|id| tail.push(&entry(&mut author, id, usize::try_from(id).unwrap())));
    let lengths: Vec<_> = tail.after(Revision(3)).iter().map(|message| message.len()).collect();
    assert_eq!(lengths, [4, 5]);
    assert_eq!(tail.after(Revision(5)).len(), 0);
    tail.clear();
    assert_eq!(tail.after(Revision(0)).len(), 0);
}

#[test]
fn it_is_bounded_in_changes_and_bytes() {
    let (mut author, mut tail) = (Author::new(), Tail::default());
    (0..TAIL_CHANGES_MAX as u64 + 10).for_each(|id| tail.push(&entry(&mut author, id, 10)));
    assert_eq!(tail.after(Revision(0)).len(), TAIL_CHANGES_MAX);
    (0..12).for_each(|id| tail.push(&entry(&mut author, id, 1 << 20)));
    let bytes: usize = tail.after(Revision(0)).iter().map(|message| message.len()).sum();
    assert!((TAIL_BYTES_MAX - (1 << 20)..=TAIL_BYTES_MAX).contains(&bytes), "{bytes}");
}
