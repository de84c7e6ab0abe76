use std::net::TcpListener;

use rescind_controller::{Controller, ControllerConfig, StartError};

use crate::kit::{Realm, chain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_said_before_anything_is_touched() {
    let realm = Realm::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let toml = realm.toml().replace("127.0.0.1:0", &address.to_string());
    let config = ControllerConfig::parse(&toml, realm.dir.path()).unwrap();
    let error = Controller::start(config).await.unwrap_err();
    assert!(matches!(error, StartError::PortInUse { .. }), "{error}");
    assert!(error.to_string().contains("choose another `listen`"), "{error}");
    assert!(!realm.path("data").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_other_settings_is_refused_with_every_one_of_them() {
    let mut realm = Realm::new();
    realm.start().await.stop().await;
    realm.stream = "max_age = \"7d\"\nmax_bytes = 1000000".to_owned();
    let error = realm.try_start().await.unwrap_err();
    assert!(matches!(error, StartError::Stream(_)), "{error}");
    let text = chain(&error);
    assert!(text.contains("max_age") && text.contains("max_bytes"), "{text}");
    realm.stream.clear();
    realm.start().await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_and_an_absent_server_are_told_apart() {
    let mut realm = Realm::new();
    let right = std::fs::read(realm.path("c1.nk")).unwrap();
    let stranger = nkeys::KeyPair::new_user().seed().unwrap();
    std::fs::write(realm.path("c1.nk"), stranger).unwrap();
    let error = chain(&realm.try_start().await.unwrap_err());
    assert!(error.contains("refused the credentials"), "{error}");
    std::fs::copy(realm.path("a1.nk"), realm.path("c1.nk")).unwrap();
    let error = realm.try_start().await.unwrap_err();
    assert!(matches!(error, StartError::Stream(_)), "an agent's user may not use the stream: {error}");
    std::fs::write(realm.path("c1.nk"), right).unwrap();
    realm.nats.stop().unwrap();
    let error = chain(&realm.try_start().await.unwrap_err());
    assert!(error.contains("no server accepts connections"), "{error}");
    realm.nats.restart().unwrap();
    realm.start().await.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_dir_of_another_chain_or_without_rights_is_refused() {
    let realm = Realm::new();
    std::fs::write(realm.path("data"), "a file").unwrap();
    let error = realm.try_start().await.unwrap_err();
    assert!(matches!(error, StartError::DataDir { .. }), "{error}");
    std::fs::remove_file(realm.path("data")).unwrap();
    std::fs::create_dir(realm.path("data")).unwrap();
    std::fs::write(realm.path("data/deny.redb"), [1; 8192]).unwrap();
    let error = chain(&realm.try_start().await.unwrap_err());
    assert!(error.contains("log of lane deny"), "{error}");
}
