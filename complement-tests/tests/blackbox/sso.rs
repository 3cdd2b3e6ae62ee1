//! Signing on elsewhere. Spec: "SSO client login/authentication".
//!
//! Synapse is started without providers, so what needs one is for hearth alone.

mod browser;
mod provider;

use complement_tests::{Client, Homeserver, PASSWORD, Role, Server, encoded, unique};
use serde_json::{Value, json};

use self::browser::{BASE_URL, Browser, Page, parameter};
use self::provider::Provider;

const LOGIN: &str = "/_matrix/client/v3/login";
const REDIRECT: &str = "/_matrix/client/v3/login/sso/redirect";
const APP: &str = "https://app.test/";

fn start_path(client: &str) -> String {
    format!("{REDIRECT}?redirectUrl={}", encoded(client))
}

/// A server with these providers, as the configuration has them; `None` on Synapse.
async fn server_with(providers: &[String]) -> Option<Server> {
    if Homeserver::chosen() != Homeserver::Hearth {
        return None;
    }
    let providers = format!("[{}]", providers.join(","));
    let settings = [
        ("HEARTH_SERVER__CLIENT_BASE_URL", BASE_URL),
        ("HEARTH_SINGLE_SIGN_ON__PROVIDERS", &providers),
        ("HEARTH_SINGLE_SIGN_ON__TRUSTED_CLIENTS", r#"["https://trusted.test/app"]"#),
        ("HEARTH_OUTGOING__ALLOWED_PRIVATE_NETWORKS", r#"["127.0.0.0/8"]"#),
        ("HEARTH_LOGGING__FILTER", "debug"),
    ];
    Some(Server::start_with(&settings).await)
}

/// A server with one provider, called `club`.
async fn club_with(more: &str) -> Option<(Server, Provider)> {
    let provider = Provider::start().await;
    let server = server_with(&[provider.configured("club", more)]).await?;
    Some((server, provider))
}

fn person(name: &str) -> Value {
    json!({ "sub": format!("subject of {name}"), "preferred_username": name, "name": "Ada L." })
}

/// Signs on for a client, up to the page that the callback shows.
async fn signed_on(
    browser: &mut Browser,
    provider: &Provider,
    client: &str,
    person: &Value,
) -> Page {
    let url = browser.open(&start_path(client)).await.location().to_owned();
    browser.open(&provider.sign_on(&url, person)).await
}

/// Logs in with the token in a URL that leads back to a client.
async fn log_in(server: &Server, url: &str) -> Client {
    let body = json!({ "type": "m.login.token", "token": parameter(url, "loginToken") });
    let session = server.stranger().post(LOGIN, &body).await.expect_ok();
    Client::of_session(server, &session)
}

/// Signs on and logs in.
async fn session_of(server: &Server, provider: &Provider, person: &Value) -> Client {
    let page = signed_on(&mut Browser::new(server), provider, APP, person).await;
    log_in(server, &page.link()).await
}

#[tokio::test]
async fn a_server_without_providers_knows_nothing_of_it() {
    let stranger = Server::start().await.stranger();
    let types = stranger.get(LOGIN).await.expect_ok();
    assert!(!types.to_string().contains("m.login.sso"), "{types}");
    if Homeserver::chosen() == Homeserver::Synapse {
        // Its endpoint is there, and has nowhere to send anybody.
        return;
    }
    let at_one = format!("{REDIRECT}/club?redirectUrl=https%3A%2F%2Fapp.test");
    for path in [REDIRECT, &start_path(APP), &at_one, "/_synapse/client/oidc/callback?state=x"] {
        stranger.get(path).await.expect_error(404, "M_UNRECOGNIZED");
    }
}

#[tokio::test]
async fn providers_are_listed_with_what_clients_show() {
    let provider = Provider::start().await;
    let look = r#"icon="mxc://hearth.test/icon",brand="github""#;
    let providers = [provider.configured("club", look), provider.configured("work", "")];
    let Some(server) = server_with(&providers).await else { return };

    let types = server.stranger().get(LOGIN).await.expect_ok();

    let wanted = json!({
        "type": "m.login.sso",
        "identity_providers": [
            {
                "id": "club", "name": "The club", "brand": "github",
                "icon": "mxc://hearth.test/icon",
            },
            { "id": "work", "name": "The work" },
        ],
    });
    let flows = types["flows"].as_array().expect("flows is a list");
    assert!(flows.contains(&wanted), "{types}");
    assert!(flows.iter().any(|flow| flow["type"] == "m.login.token"), "{types}");
}

/// Spec: "Login Fallback". The page's script sends its user there, and logs in with the token that they come back with.
#[tokio::test]
async fn the_login_page_has_providers() {
    let Some((server, _)) = club_with("").await else { return };
    let page = Browser::new(&server).open("/_matrix/static/client/login/").await;
    assert!(page.text.contains(r#"data-provider="club">Sign on at The club<"#), "{}", page.text);
    assert!(page.text.contains("m.login.token"), "{}", page.text);
}

#[tokio::test]
async fn somebody_new_gets_an_account_and_keeps_it() {
    let Some((server, provider)) = club_with("").await else { return };
    let name = unique("Ada");
    let mut browser = Browser::new(&server);

    let page = signed_on(&mut browser, &provider, APP, &person(&name)).await;

    assert!(page.text.contains("app.test"), "{}", page.text);
    let link = page.link();
    assert!(link.starts_with("https://app.test/?loginToken="), "{link}");
    assert!(browser.cookies.is_empty(), "{:?}", browser.cookies);
    let ada = log_in(&server, &link).await;
    assert_eq!(ada.user_id, format!("@{}:hearth.test", name.to_lowercase()));
    let profile = format!("/_matrix/client/v3/profile/{}", encoded(&ada.user_id));
    assert_eq!(ada.get(&profile).await.expect_ok()["displayname"], "Ada L.");
    ada.create_room().await;
    // The token works once.
    let body = json!({ "type": "m.login.token", "token": parameter(&link, "loginToken") });
    server.stranger().post(LOGIN, &body).await.expect_error(403, "M_FORBIDDEN");

    // By the subject they are known, whatever they are called since.
    let mut renamed = person(&unique("other"));
    renamed["sub"] = person(&name)["sub"].clone();
    let again = session_of(&server, &provider, &renamed).await;
    assert_eq!(again.user_id, ada.user_id);
    assert_ne!(again.device_id, ada.device_id);
    server.restart().await;
    let again = session_of(&server, &provider, &person(&name)).await;
    assert_eq!(again.user_id, ada.user_id);
}

#[tokio::test]
async fn a_client_says_where_it_is() {
    let Some((server, _)) = club_with("").await else { return };
    let stranger = server.stranger();
    let at_club = format!("{REDIRECT}/club");
    for path in [REDIRECT, &at_club] {
        stranger.get(path).await.expect_error(400, "M_MISSING_PARAM");
        let long = format!("https://app.test/{}", "x".repeat(2_048));
        let scripts = ["javascript:alert(1)", "data:text/html,x", " javascript:alert(1)"];
        for client in scripts.into_iter().chain(["", "/login", "app.test", &long]) {
            let path = format!("{path}?redirectUrl={}", encoded(client));
            stranger.get(&path).await.expect_error(400, "M_INVALID_PARAM");
        }
    }
}

#[tokio::test]
async fn an_unknown_provider_is_not_found() {
    let Some((server, _)) = club_with("").await else { return };
    let path = format!("{REDIRECT}/other?redirectUrl={}", encoded(APP));
    server.stranger().get(&path).await.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn an_app_gets_its_user_back_by_its_own_scheme() {
    let Some((server, provider)) = club_with("").await else { return };
    let ada = person(&unique("ada"));
    for (client, start) in [
        ("io.element.android:/", "io.element.android:/?loginToken="),
        ("element://connect?x=y", "element://connect?x=y&loginToken="),
    ] {
        let page = signed_on(&mut Browser::new(&server), &provider, client, &ada).await;
        let link = page.link();
        assert!(link.starts_with(start), "{link}");
        log_in(&server, &link).await;
    }
}

#[tokio::test]
async fn a_trusted_client_gets_its_user_back_without_a_question() {
    let Some((server, provider)) = club_with("").await else { return };
    let ada = person(&unique("ada"));
    let client = "https://trusted.test/app/?a=1&loginToken=old#/login";
    let page = signed_on(&mut Browser::new(&server), &provider, client, &ada).await;
    let url = page.location();
    assert!(url.starts_with("https://trusted.test/app/?a=1&loginToken="), "{url}");
    assert!(url.ends_with("#/login"), "{url}");
    log_in(&server, url).await;

    let client = "https://trusted.test.evil.test/app/";
    let page = signed_on(&mut Browser::new(&server), &provider, client, &ada).await;
    assert!(page.text.contains("trusted.test.evil.test"), "{}", page.text);
}

/// Spec: "guard against unsolicited authentication attempts by tracking pending requests".
#[tokio::test]
async fn a_sign_on_ends_in_the_browser_that_began_it_and_once() {
    let Some((server, provider)) = club_with("").await else { return };
    let (mut browser, mut other) = (Browser::new(&server), Browser::new(&server));
    let url = browser.open(&start_path(APP)).await.location().to_owned();
    let back = provider.sign_on(&url, &person(&unique("ada")));

    other.open(&back).await.expect_failure(400, "another browser");
    let _ = other.open(&start_path(APP)).await.location();
    other.open(&back).await.expect_failure(400, "another browser");
    let made_up = "/_synapse/client/oidc/callback?state=x&code=y";
    browser.open(made_up).await.expect_failure(400, "another browser");
    browser.open("/_synapse/client/oidc/callback").await.expect_failure(400, "another browser");

    let cookies = browser.cookies.clone();
    log_in(&server, &browser.open(&back).await.link()).await;
    browser.cookies = cookies;
    browser.open(&back).await.expect_failure(400, "another browser");
}

#[tokio::test]
async fn an_id_token_that_is_not_right_signs_nobody_on() {
    let Some((server, provider)) = club_with("").await else { return };
    let ada = person(&unique("ada"));
    session_of(&server, &provider, &ada).await;
    for wrong in [
        json!({ "nonce": "other" }),
        json!({ "aud": "other" }),
        json!({ "aud": ["hearth", "other"] }),
        json!({ "iss": "https://other.test" }),
        json!({ "exp": 1_700_000_000 }),
        json!({ "sub": "" }),
    ] {
        provider.say(wrong.clone());
        let page = signed_on(&mut Browser::new(&server), &provider, APP, &ada).await;
        assert_eq!(page.status, 502, "{wrong}");
        page.expect_failure(502, "The club cannot be used");
    }
    provider.say(json!({}));
    provider.lose_key();
    let page = signed_on(&mut Browser::new(&server), &provider, APP, &ada).await;
    page.expect_failure(502, "The club cannot be used");
}

#[tokio::test]
async fn a_provider_may_change_its_key() {
    let Some((server, provider)) = club_with("").await else { return };
    let ada = person(&unique("ada"));
    let before = session_of(&server, &provider, &ada).await;
    provider.change_key();
    // It is not asked for its keys twice in a few seconds.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let after = session_of(&server, &provider, &ada).await;
    assert_eq!(after.user_id, before.user_id);
}

#[tokio::test]
async fn a_provider_that_is_down_holds_nothing_else_up() {
    let nobody = r#"{id="club",name="The club",issuer="http://127.0.0.1:1",client_id="hearth"}"#;
    let Some(server) = server_with(&[nobody.to_owned()]).await else { return };
    let mut browser = Browser::new(&server);
    for _ in 0..2 {
        let page = browser.open(&start_path(APP)).await;
        page.expect_failure(502, "The club cannot be used");
    }
    server.register("ada").await.log_in().await;
}

#[tokio::test]
async fn what_a_provider_refuses_is_told() {
    let Some((server, provider)) = club_with("").await else { return };
    let mut browser = Browser::new(&server);
    for (error, shown) in
        [("access_denied", "access_denied"), ("%3Cscript%3Ealert(1)%3C/script%3E", "no code")]
    {
        let url = browser.open(&start_path(APP)).await.location().to_owned();
        let page = browser.open(&provider.refuse(&url, error)).await;
        page.expect_failure(403, shown);
        assert!(!page.text.contains("<script"), "{}", page.text);
    }
    // A code that the provider does not know.
    let url = browser.open(&start_path(APP)).await.location().to_owned();
    let back = provider.sign_on(&url, &person("ada")).replace("code=", "code=un");
    browser.open(&back).await.expect_failure(502, "The club cannot be used");
}

#[tokio::test]
async fn a_name_that_is_taken_is_not_taken_over_and_another_is_chosen() {
    let Some((server, provider)) = club_with("").await else { return };
    let owner = server.register("ada").await;
    let mut browser = Browser::new(&server);

    let form = signed_on(&mut browser, &provider, APP, &person(owner.name())).await;

    assert!(form.text.contains("is taken"), "{}", form.text);
    assert!(form.links().is_empty(), "{}", form.text);
    for (wrong, problem) in [(owner.name(), "is taken"), ("a%20b", "made of"), ("_x", "begin")] {
        let page = browser.submit(&form, wrong).await;
        assert!(page.text.contains(problem), "{}", page.text);
    }
    // It is this browser's form.
    Browser::new(&server)
        .submit(&form, &unique("eve"))
        .await
        .expect_failure(400, "another browser");
    let name = unique("ada");
    let page = browser.submit(&form, &name).await;
    let ada = log_in(&server, &page.link()).await;
    assert_eq!(ada.user_id, format!("@{name}:hearth.test"));
    browser.submit(&form, &unique("ada")).await.expect_failure(400, "another browser");
    let again = session_of(&server, &provider, &person(owner.name())).await;
    assert_eq!(again.user_id, ada.user_id);
}

#[tokio::test]
async fn who_has_no_name_elsewhere_chooses_one() {
    let Some((server, provider)) = club_with("").await else { return };
    let mut browser = Browser::new(&server);
    let nameless = json!({ "sub": unique("nameless") });
    let form = signed_on(&mut browser, &provider, APP, &nameless).await;
    let name = unique("cy");
    let cy = log_in(&server, &browser.submit(&form, &name).await.link()).await;
    assert_eq!(cy.user_id, format!("@{name}:hearth.test"));
}

/// Spec: appendices, "Mapping from other character sets".
#[tokio::test]
async fn a_name_is_written_as_user_ids_are() {
    let Some((server, provider)) = club_with("").await else { return };
    let name = unique("Zoë@Example.org-");
    let zoe = session_of(&server, &provider, &person(&name)).await;
    let written = name.replace("Zoë@", "zo=c3=ab=40").to_lowercase();
    assert_eq!(zoe.user_id, format!("@{written}:hearth.test"));
}

#[tokio::test]
async fn claims_may_be_told_apart_from_the_id_token() {
    let Some((server, provider)) = club_with("").await else { return };
    let (subject, name) = (unique("subject"), unique("dee"));
    provider.tell_apart(&json!({ "preferred_username": name, "name": "Dee", "sub": "another" }));
    let mut browser = Browser::new(&server);
    let dee = json!({ "sub": subject });
    // What is told of somebody else is not believed.
    signed_on(&mut browser, &provider, APP, &dee).await.expect_failure(502, "cannot be used");
    provider.tell_apart(&json!({ "preferred_username": name, "name": "Dee" }));
    let dee = session_of(&server, &provider, &dee).await;
    assert_eq!(dee.user_id, format!("@{name}:hearth.test"));
}

#[tokio::test]
async fn without_registration_only_those_sign_on_who_have_an_account() {
    let Some((server, provider)) = club_with("registration=false").await else { return };
    let admin = server.register_with_shared_secret("root", Role::Administrator).await;
    let owner = server.register("ada").await;
    let ada = person(owner.name());
    let page = signed_on(&mut Browser::new(&server), &provider, APP, &ada).await;
    page.expect_failure(403, "you have no account here");

    let path = format!("/_synapse/admin/v2/users/{}", encoded(&owner.user_id));
    let ids = json!([{ "auth_provider": "club", "external_id": ada["sub"] }]);
    admin.put(&path, &json!({ "external_ids": ids })).await.expect_ok();
    assert_eq!(session_of(&server, &provider, &ada).await.user_id, owner.user_id);
}

#[tokio::test]
async fn a_provider_that_gives_names_gives_accounts_too() {
    let Some((server, provider)) = club_with("link_existing=true").await else { return };
    let owner = server.register("ada").await;
    let ada = session_of(&server, &provider, &person(owner.name())).await;
    assert_eq!(ada.user_id, owner.user_id);
    // It is that one's from now on.
    let mut other = person(owner.name());
    other["sub"] = json!(unique("other"));
    let form = signed_on(&mut Browser::new(&server), &provider, APP, &other).await;
    assert!(form.text.contains("is taken"), "{}", form.text);
}

#[tokio::test]
async fn nobody_signs_on_to_an_account_that_is_locked_or_closed() {
    let Some((server, provider)) = club_with("").await else { return };
    let admin = server.register_with_shared_secret("root", Role::Administrator).await;
    let person = person(&unique("ada"));
    let ada = session_of(&server, &provider, &person).await;
    let path = format!("/_synapse/admin/v2/users/{}", encoded(&ada.user_id));
    for (state, words) in [("locked", "is locked"), ("deactivated", "is deactivated")] {
        let page = signed_on(&mut Browser::new(&server), &provider, APP, &person).await;
        admin.put(&path, &json!({ state: true })).await.expect_ok();
        let body =
            json!({ "type": "m.login.token", "token": parameter(&page.link(), "loginToken") });
        let refused = server.stranger().post(LOGIN, &body).await;
        assert!([401, 403].contains(&refused.status), "{}", refused.text);
        let page = signed_on(&mut Browser::new(&server), &provider, APP, &person).await;
        page.expect_failure(403, words);
        if state == "locked" {
            admin.put(&path, &json!({ "locked": false })).await.expect_ok();
        }
    }
}

#[tokio::test]
async fn among_several_providers_the_user_chooses() {
    let (club, work) = (Provider::start().await, Provider::start().await);
    let providers = [club.configured("club", ""), work.configured("work", "")];
    let Some(server) = server_with(&providers).await else { return };
    let mut browser = Browser::new(&server);
    let client = "https://app.test/?a=b&c=\"><script>";

    let page = browser.open(&start_path(client)).await;

    assert!(page.text.contains("The club") && page.text.contains("The work"), "{}", page.text);
    assert!(!page.text.contains("<script"), "{}", page.text);
    let links = page.links();
    let path = links[1].replace("../../../v3/login/sso/redirect", REDIRECT);
    assert!(path.starts_with(&format!("{REDIRECT}/work?")), "{links:?}");
    let url = browser.open(&path).await.location().to_owned();
    let link = browser.open(&work.sign_on(&url, &person(&unique("ada")))).await.link();
    assert!(link.starts_with("https://app.test/?a=b&c=%22%3E%3Cscript%3E&loginToken="), "{link}");
    log_in(&server, &link).await;
}

/// The stages of the ways in which a challenge can be passed.
fn stages(challenge: &Value) -> Vec<&str> {
    let flows = challenge["flows"].as_array().expect("flows is a list").iter();
    flows.filter_map(|flow| flow["stages"][0].as_str()).collect()
}

/// Spec: "SSO during User-Interactive Authentication".
#[tokio::test]
async fn who_has_no_password_signs_on_again_to_confirm() {
    let Some((server, provider)) = club_with("").await else { return };
    let person = person(&unique("ada"));
    let ada = session_of(&server, &provider, &person).await;
    let phone = session_of(&server, &provider, &person).await;
    let device = format!("/_matrix/client/v3/devices/{}", phone.device_id);
    let delete = async |body: Value| {
        ada.answer(ada.request(complement_tests::Method::DELETE, &device).json(&body)).await
    };
    let challenge = delete(json!({})).await.expect_challenge();
    assert_eq!(stages(&challenge), ["m.login.sso"]);
    let session = challenge["session"].as_str().expect("a session");
    let stage = format!("/_matrix/client/v3/auth/m.login.sso/fallback/web?session={session}");
    let mut browser = Browser::new(&server);

    let question = browser.open(&stage).await;

    assert!(question.text.contains("delete devices"), "{}", question.text);
    let proof = json!({ "auth": { "session": session } });
    delete(proof.clone()).await.expect_challenge();
    // Somebody else's account does not count.
    let back = provider.sign_on(&question.link(), &self::person(&unique("bo")));
    browser.open(&back).await.expect_failure(403, "another account");
    delete(proof.clone()).await.expect_challenge();
    // Nor does another browser.
    let question = browser.open(&stage).await;
    let back = provider.sign_on(&question.link(), &person);
    Browser::new(&server).open(&back).await.expect_failure(400, "another browser");
    delete(proof.clone()).await.expect_challenge();

    let done = browser.open(&back).await;
    assert!(done.text.contains("window.onAuthDone()"), "{}", done.text);
    delete(proof.clone()).await.expect_ok();

    phone.get("/_matrix/client/v3/account/whoami").await.expect_error(401, "M_UNKNOWN_TOKEN");
    // It counts once.
    delete(proof).await.expect_challenge();
    let unknown = format!("{stage}x");
    server.stranger().get(&unknown).await.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn who_has_both_a_password_and_a_provider_may_use_either() {
    let Some((server, provider)) = club_with("link_existing=true").await else { return };
    let ada = server.register("ada").await;
    let device = format!("/_matrix/client/v3/devices/{}", ada.log_in().await.device_id);
    let password_only = ada.delete(&device).await.expect_challenge();
    assert_eq!(stages(&password_only), ["m.login.password"]);
    session_of(&server, &provider, &person(ada.name())).await;

    let challenge = ada.delete(&device).await.expect_challenge();

    assert_eq!(stages(&challenge), ["m.login.password", "m.login.sso"]);
    let body = json!({ "auth": ada.password_stage(&challenge["session"]) });
    let request = ada.request(complement_tests::Method::DELETE, &device).json(&body);
    ada.answer(request).await.expect_ok();
    let session = challenge["session"].as_str().expect("a session");
    let stage = format!("/_matrix/client/v3/auth/m.login.sso/fallback/web?session={session}");
    server.stranger().get(&stage).await.expect_error(404, "M_NOT_FOUND");
    // Whoever signs on has no other password than before.
    let body = json!({
        "type": "m.login.password", "password": PASSWORD,
        "identifier": { "type": "m.id.user", "user": ada.user_id },
    });
    server.stranger().post(LOGIN, &body).await.expect_ok();
}

#[tokio::test]
async fn who_signs_on_at_several_places_confirms_at_any_of_them() {
    let (club, work) = (Provider::start().await, Provider::start().await);
    let providers = [
        club.configured("club", "link_existing=true"),
        work.configured("work", "link_existing=true"),
        Provider::start().await.configured("other", ""),
    ];
    let Some(server) = server_with(&providers).await else { return };
    let person = person(&unique("ada"));
    let mut browser = Browser::new(&server);
    let mut sessions = Vec::new();
    for (id, provider) in [("club", &club), ("work", &work)] {
        let path = start_path(APP).replace(REDIRECT, &format!("{REDIRECT}/{id}"));
        let url = browser.open(&path).await.location().to_owned();
        let link = browser.open(&provider.sign_on(&url, &person)).await.link();
        sessions.push(log_in(&server, &link).await);
    }
    assert_eq!(sessions[0].user_id, sessions[1].user_id);
    let device = format!("/_matrix/client/v3/devices/{}", sessions[1].device_id);
    let challenge = sessions[0].delete(&device).await.expect_challenge();
    let session = challenge["session"].as_str().expect("a session");
    let stage = format!("/_matrix/client/v3/auth/m.login.sso/fallback/web?session={session}");

    let question = browser.open(&stage).await;

    let links = question.links();
    assert_eq!(links.len(), 2, "{}", question.text);
    let done = browser.open(&work.sign_on(&links[1], &person)).await;
    assert!(done.text.contains("window.onAuthDone()"), "{}", done.text);
    let body = json!({ "auth": { "type": "m.login.sso", "session": session } });
    let request = sessions[0].request(complement_tests::Method::DELETE, &device).json(&body);
    sessions[0].answer(request).await.expect_ok();
}

/// Signing on is begun by strangers, and each start is kept for a while.
#[tokio::test]
async fn strangers_begin_to_sign_on_as_often_as_they_may_log_in() {
    if Homeserver::chosen() == Homeserver::Synapse {
        return;
    }
    let settings = [
        ("HEARTH_RATE_LIMITS__ENABLED", "true"),
        ("HEARTH_RATE_LIMITS__LOGIN", "{per_second=0.001,burst=1}"),
    ];
    let stranger = Server::start_with(&settings).await.stranger();
    stranger.get(REDIRECT).await.expect_error(404, "M_UNRECOGNIZED");
    stranger.get(REDIRECT).await.expect_error(429, "M_LIMIT_EXCEEDED");
}

/// Spec: `GET /login/sso/redirect`, "action"; to providers it is `prompt`.
#[tokio::test]
async fn who_wants_to_register_is_taken_there() {
    let Some((server, provider)) = club_with("").await else { return };
    let mut browser = Browser::new(&server);
    for (action, wanted) in [("register", true), ("login", false), ("other", false)] {
        let path = format!("{}&action={action}", start_path(APP));
        let url = browser.open(&path).await.location().to_owned();
        assert_eq!(url.contains("&prompt=create"), wanted, "{url}");
        provider.refuse(&url, "access_denied");
    }
}

#[tokio::test]
async fn the_log_has_nothing_that_signs_anybody_on() {
    let Some((server, provider)) = club_with("").await else { return };
    let mut browser = Browser::new(&server);
    let url = browser.open(&start_path(APP)).await.location().to_owned();
    let cookie = browser.cookies.values().next().expect("a cookie").0.clone();
    let back = provider.sign_on(&url, &person(&unique("ada")));
    let link = browser.open(&back).await.link();
    let [state, nonce] = ["state", "nonce"].map(|name| parameter(&url, name));
    let secrets = [
        cookie,
        state,
        nonce,
        parameter(&back, "code"),
        parameter(&link, "loginToken"),
        "marzipan".to_owned(),
        "eyJ".to_owned(),
    ];

    let log = server.log();

    for secret in &secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} in the log: {}", line.unwrap_or_default());
    }
}
