//! Searching for users.

use complement_tests::{Client, Server, encoded, synapse_departs_from, unique};
use serde_json::{Value, json};

const SEARCH: &str = "/_matrix/client/v3/user_directory/search";

async fn search(client: &Client, term: &str) -> Value {
    client.post(SEARCH, &json!({ "search_term": term })).await.expect_ok()
}

/// The users that a term finds, again and again until they are those wanted: the directory may lag behind.
async fn expect_found(client: &Client, term: &str, wanted: &[&Client]) {
    let wanted: Vec<_> = wanted.iter().map(|user| json!(user.user_id)).collect();
    let mut found = Vec::new();
    for _ in 0..60 {
        let answer = search(client, term).await;
        let results = answer["results"].as_array().expect("results are a list");
        found = results.iter().map(|user| user["user_id"].clone()).collect();
        if found == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(found, wanted, "{term}");
}

async fn set_name(client: &Client, name: &str) {
    let path = format!("/_matrix/client/v3/profile/{}/displayname", encoded(&client.user_id));
    client.put(&path, &json!({ "displayname": name })).await.expect_ok();
}

/// A word that no other test searches for.
fn rare(word: &str) -> String {
    unique(word).replace('-', "")
}

async fn private_room(of: &Client, with: &Client) -> String {
    let body = json!({ "preset": "private_chat", "invite": [with.user_id] });
    let room = of.create_room_with(&body).await;
    with.join(&room).await;
    room
}

#[tokio::test]
async fn who_shares_a_room_is_found_and_nobody_else() {
    let server = Server::start().await;
    let (ada, bo, eve) =
        (server.register("ada").await, server.register("bo").await, server.register("eve").await);
    let name = rare("quince");
    set_name(&ada, &name).await;
    expect_found(&bo, &name, &[]).await;

    let room = private_room(&bo, &ada).await;
    expect_found(&bo, &name, &[&ada]).await;
    expect_found(&eve, &name, &[]).await;

    ada.leave(&room).await;
    expect_found(&bo, &name, &[]).await;
}

#[tokio::test]
async fn who_is_in_a_room_open_to_all_is_found_by_all() {
    let server = Server::start().await;
    let (ada, eve) = (server.register("ada").await, server.register("eve").await);
    let name = rare("medlar");
    set_name(&ada, &name).await;
    let room = ada.create_room_with(&json!({ "preset": "private_chat" })).await;
    expect_found(&eve, &name, &[]).await;

    ada.set_state(&room, "m.room.join_rules", "", &json!({ "join_rule": "public" })).await;
    expect_found(&eve, &name, &[&ada]).await;
    ada.set_state(&room, "m.room.join_rules", "", &json!({ "join_rule": "invite" })).await;
    expect_found(&eve, &name, &[]).await;

    let readable = json!({ "history_visibility": "world_readable" });
    ada.set_state(&room, "m.room.history_visibility", "", &readable).await;
    expect_found(&eve, &name, &[&ada]).await;
}

#[tokio::test]
async fn a_found_user_comes_with_name_and_picture() {
    let server = Server::start().await;
    let (ada, eve) = (server.register("ada").await, server.register("eve").await);
    let name = rare("sloe");
    set_name(&ada, &name).await;
    let path = format!("/_matrix/client/v3/profile/{}/avatar_url", encoded(&ada.user_id));
    let avatar = "mxc://hearth.test/sloe";
    ada.put(&path, &json!({ "avatar_url": avatar })).await.expect_ok();
    ada.create_room().await;
    expect_found(&eve, &name, &[&ada]).await;

    let answer = search(&eve, &name).await;

    let user = json!({ "user_id": ada.user_id, "display_name": name, "avatar_url": avatar });
    assert_eq!(answer, json!({ "results": [user], "limited": false }));
}

#[tokio::test]
async fn names_are_found_without_regard_to_case_and_by_the_beginnings_of_words() {
    let server = Server::start().await;
    let (ada, eve) = (server.register("ada").await, server.register("eve").await);
    let word = rare("damson");
    set_name(&ada, &format!("Lady {word} Smith")).await;
    ada.create_room().await;
    for term in [word.to_uppercase(), format!("{word} smi"), format!("smith {word}")] {
        expect_found(&eve, &term, &[&ada]).await;
    }
    for term in [format!("{word} jones"), format!("x{word}"), word[1..].to_owned()] {
        expect_found(&eve, &term, &[]).await;
    }
}

#[tokio::test]
async fn accents_make_no_difference() {
    if synapse_departs_from("(preferably using a collation: accents are folded)") {
        return;
    }
    let server = Server::start().await;
    let (ada, eve) = (server.register("ada").await, server.register("eve").await);
    let word = rare("pear");
    set_name(&ada, &format!("Ren\u{e9}e \u{c5}ngstr\u{f6}m {word}")).await;
    ada.create_room().await;
    expect_found(&eve, &format!("renee angstrom {word}"), &[&ada]).await;
    expect_found(&eve, &format!("REN\u{c9}E {word}"), &[&ada]).await;
}

#[tokio::test]
async fn users_are_found_by_their_ids() {
    let server = Server::start().await;
    let name = rare("bullace");
    let (ada, eve) = (server.register(&name).await, server.register("eve").await);
    set_name(&ada, "Nobody in particular").await;
    ada.create_room().await;
    for term in [name.clone(), format!("@{name}")] {
        expect_found(&eve, &term, &[&ada]).await;
    }
    if synapse_departs_from("The search is performed [...] on user IDs (also whole ones)") {
        return;
    }
    expect_found(&eve, &ada.user_id, &[&ada]).await;
    expect_found(&eve, &format!("@{name}:elsewhere.test"), &[]).await;
}

#[tokio::test]
async fn nobody_finds_themselves() {
    if synapse_departs_from("(whoever searches knows themselves)") {
        return;
    }
    let ada = Server::start().await.register("ada").await;
    let name = rare("rowan");
    set_name(&ada, &name).await;
    ada.create_room().await;
    expect_found(&ada, &name, &[]).await;
}

/// Names that are used in single rooms are nobody else's business.
#[tokio::test]
async fn the_name_of_a_room_is_not_searched() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let (public, private) = (rare("elder"), rare("yew"));
    set_name(&ada, &public).await;
    ada.create_room().await;
    let room = private_room(&bo, &ada).await;
    let content = json!({ "membership": "join", "displayname": private });
    ada.set_state(&room, "m.room.member", &ada.user_id, &content).await;

    expect_found(&bo, &public, &[&ada]).await;
    expect_found(&bo, &private, &[]).await;
    assert_eq!(search(&bo, &public).await["results"][0]["display_name"], public);
}

#[tokio::test]
async fn a_former_name_finds_nobody() {
    let server = Server::start().await;
    let (ada, eve) = (server.register("ada").await, server.register("eve").await);
    let (old, new) = (rare("hazel"), rare("holly"));
    ada.create_room().await;
    set_name(&ada, &old).await;
    expect_found(&eve, &old, &[&ada]).await;
    set_name(&ada, &new).await;
    expect_found(&eve, &new, &[&ada]).await;
    expect_found(&eve, &old, &[]).await;
}

#[tokio::test]
async fn the_best_come_first_and_a_limit_is_told() {
    let server = Server::start().await;
    let eve = server.register("eve").await;
    let word = rare("service");
    let mut all = Vec::new();
    for name in [format!("{word}tree"), format!("{word} tree"), word.clone()] {
        let user = server.register("ada").await;
        set_name(&user, &name).await;
        user.create_room().await;
        all.insert(0, user);
    }
    if synapse_departs_from("Ordered by rank (Synapse's is another)") {
        return;
    }
    expect_found(&eve, &word, &[&all[0], &all[1], &all[2]]).await;

    let body = json!({ "search_term": word, "limit": 2 });
    let answer = eve.post(SEARCH, &body).await.expect_ok();

    assert_eq!(answer["results"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["limited"], true);
    assert_eq!(search(&eve, &word).await["limited"], false);
}

#[tokio::test]
async fn a_term_without_words_finds_nobody() {
    let ada = Server::start().await.register("ada").await;
    for term in ["", " -- ", "@"] {
        let answer = ada.post(SEARCH, &json!({ "search_term": term })).await.expect_ok();
        assert_eq!(answer, json!({ "results": [], "limited": false }), "{term:?}");
    }
}

#[tokio::test]
async fn a_search_needs_a_term_and_an_access_token() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let answer = ada.post(SEARCH, &json!({ "limit": 3 })).await;
    answer.expect_error_of(&[(400, "M_BAD_JSON"), (400, "M_MISSING_PARAM"), (400, "M_UNKNOWN")]);
    let answer = server.stranger().post(SEARCH, &json!({ "search_term": "ada" })).await;
    answer.expect_error(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn everybody_is_found_if_the_administrator_says_so() {
    if synapse_departs_from("(a setting of hearth's)") {
        return;
    }
    let all = ("HEARTH_USER_DIRECTORY__SEARCH_ALL_USERS", "true");
    let server = Server::start_with(&[all]).await;
    let (ada, eve) = (server.register("ada").await, server.register("eve").await);
    expect_found(&eve, "ada", &[&ada]).await;
}
