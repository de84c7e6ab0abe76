use super::*;
use crate::kit::*;

fn one_chunk() -> Chunk {
    let mut writer = ChunkWriter::new();
    assert!(items().iter().all(|item| writer.push(item).is_none()));
    writer.finish().unwrap()
}

#[test]
fn the_bytes_are_those_of_the_schema() {
    let chunk = one_chunk();
    let wire = proto::SnapshotChunk::decode(&chunk.bytes[..]).unwrap();
    assert_eq!(wire.items.len(), items().len());
    assert_eq!(wire.encode_to_vec(), chunk.bytes);
}

#[test]
fn chunks_are_cut_at_both_limits() {
    let mut writer = ChunkWriter::new();
    let small = SnapshotItem::Record(
        rescind_core::record::Record::new(
            deny(1),
            rescind_core::record::RecordKind::Kill,
            rescind_core::target::Target::All,
            None,
        )
        .unwrap(),
        RecordState::Active,
    );
    let mut chunks: Vec<_> = (0..40_000).filter_map(|_| writer.push(&small)).collect();
    chunks.extend(writer.finish());
    assert_eq!(chunks.iter().map(|chunk| chunk.items).collect::<Vec<_>>(), [16_384, 16_384, 7_232]);
    let mut writer = ChunkWriter::new();
    let large: Vec<_> = items().into_iter().cycle().take(20_000).collect();
    let mut chunks: Vec<_> = large.iter().filter_map(|item| writer.push(item)).collect();
    chunks.extend(writer.finish());
    assert!(chunks.len() > 1);
    assert!(chunks.iter().all(|chunk| chunk.bytes.len() <= CHUNK_BYTES_MAX));
    let read: Vec<_> = chunks
        .iter()
        .flat_map(|chunk| decode_chunk(&chunk.bytes, &chunk.listing()).unwrap())
        .map(Result::unwrap)
        .collect();
    assert_eq!(read, large);
    assert_eq!(ChunkWriter::new().finish(), None);
}

#[test]
fn s6_a_chunk_is_the_one_that_was_listed() {
    let chunk = one_chunk();
    let (length, hash) = chunk.listing();
    for at in 0..chunk.bytes.len() {
        let mut bytes = chunk.bytes.clone();
        bytes[at] ^= 0x40;
        assert_eq!(decode_chunk(&bytes, &(length, hash)).err(), Some(CodecError::WrongChunk));
    }
    assert_eq!(decode_chunk(&chunk.bytes, &(length + 1, hash)).err(), Some(CodecError::WrongChunk));
}

#[test]
fn reading_ends_at_the_first_wrong_item() {
    let mut bytes = one_chunk().bytes;
    put_field_head(&mut bytes, 2, 0);
    let listing = (u32::try_from(bytes.len()).unwrap(), Sha256::digest(&bytes).into());
    let read: Vec<_> = decode_chunk(&bytes, &listing).unwrap().collect();
    assert_eq!(read.len(), items().len() + 1);
    assert!(read.last().unwrap().is_err());
    let many = [0x0a, 0].repeat(20_000);
    let listing = (u32::try_from(many.len()).unwrap(), Sha256::digest(&many).into());
    let read: Vec<_> = decode_chunk(&many, &listing).unwrap().collect();
    assert_eq!(read, [Err(CodecError::UnknownKind { field: "snapshot item" })]);
}

#[test]
fn manifests_contradict_neither_themselves_nor_the_limits() {
    let read =
        |manifest: &Manifest| decode_manifest(&encode_manifest(manifest, &controller_key()).0, &trust());
    assert!(read(&manifest(Vec::new(), 0)).is_ok());
    assert!(read(&manifest(vec![(1, [0; 32]); CHUNKS_MAX], CHUNKS_MAX as u64)).is_ok());
    let too_many = manifest(vec![(1, [0; 32]); CHUNKS_MAX + 1], CHUNKS_MAX as u64 + 1);
    assert_eq!(read(&too_many).unwrap_err().code(), "count");
    for (chunks, items) in [(vec![], 1), (vec![(1, [0; 32]); 2], 1), (vec![(1, [0; 32])], 16_385)] {
        assert_eq!(read(&manifest(chunks, items)), Err(CodecError::Range { field: "items" }));
    }
    for bytes in [0, 524_289, u32::MAX] {
        assert_eq!(read(&manifest(vec![(bytes, [0; 32])], 1)), Err(CodecError::Range { field: "bytes" }));
    }
}

#[test]
fn ids_stay_on_the_lane_of_their_kind() {
    let mut wire = item_to_wire(&items()[0]);
    let Some(Item::Entitlement(entitlement)) = wire.item.as_mut() else { panic!("an entitlement") };
    entitlement.id = deny(1).packed();
    assert_eq!(decode_item(&wire.encode_to_vec()).unwrap_err().code(), "wrong_lane");
}
