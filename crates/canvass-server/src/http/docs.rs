//! The OpenAPI description as a file for programs, and as a page for people that needs no other server.
//!
//! The file is in the program as the tests keep it, so that only tests compile what makes it from the code.

use std::sync::OnceLock;

use axum::{
    http::{HeaderValue, StatusCode},
    response::Response,
};
use serde_json::Value;

use crate::{
    app::App,
    http::{
        ask::Ask,
        pages::{escaped, page, put, with_code},
        reply,
    },
    service::Failure,
};

const DESCRIPTION: &str = include_str!("../../openapi.json");

/// The description.
pub(crate) async fn read_openapi(_: App, _: Ask) -> Result<Response, Failure> {
    let mut response = reply::of(StatusCode::OK, HeaderValue::from_static("application/json"), DESCRIPTION);
    // Pages of any origin may read what every client may know.
    response.headers_mut().insert("access-control-allow-origin", HeaderValue::from_static("*"));
    Ok(response)
}

/// The description as a page.
pub(crate) async fn read_docs(_: App, _: Ask) -> Result<Response, Failure> {
    static PAGE: OnceLock<String> = OnceLock::new();
    let html = PAGE.get_or_init(|| {
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap_or_default();
        render(&description)
    });
    Ok(reply::html(StatusCode::OK, html.clone()))
}

fn render(description: &Value) -> String {
    let mut body = String::new();
    let info = &description["info"];
    paragraphs(&mut body, text(&info["description"]));
    put(
        &mut body,
        format_args!("<p class=\"note\">For programs: <a href=\"/openapi.json\">openapi.json</a></p>"),
    );
    for tag in description["tags"].as_array().into_iter().flatten() {
        let name = text(&tag["name"]);
        put(
            &mut body,
            format_args!(
                "<h2 id=\"{0}\">{0}</h2><p>{1}</p>",
                escaped(name),
                with_code(text(&tag["description"]))
            ),
        );
        operations(description).filter(|(_, _, operation)| operation["tags"][0] == name).for_each(
            |(path, method, operation)| render_operation(&mut body, description, path, method, operation),
        );
    }
    render_schemas(&mut body, &description["components"]["schemas"]);
    page("Canvass: how to use it", &body)
}

fn operations(description: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
    let paths = description["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, operations)| {
        METHODS.iter().filter_map(move |method| Some((path.as_str(), *method, operations.get(method)?)))
    })
}

fn render_operation(body: &mut String, description: &Value, path: &str, method: &str, operation: &Value) {
    put(
        body,
        format_args!(
            "<h3><span class=\"method\">{}</span> <code>{}</code></h3><p>{}</p>",
            method.to_uppercase(),
            escaped(path),
            with_code(text(&operation["summary"]))
        ),
    );
    paragraphs(body, text(&operation["description"]));
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    table(
        body,
        parameters.iter().map(|parameter| {
            let name = format!("{} ({})", text(&parameter["name"]), text(&parameter["in"]));
            (name, text(&parameter["description"]).to_owned())
        }),
    );
    let request = operation["requestBody"]["content"].as_object().into_iter().flatten().next();
    if let Some((kind, content)) = request {
        put(
            body,
            format_args!("<p>Body: <code>{}</code> {}</p>", escaped(kind), schema_link(&content["schema"])),
        );
        example(body, &content["example"]);
    }
    let responses = operation["responses"].as_object().into_iter().flatten();
    table(
        body,
        responses.map(|(status, response)| (status.clone(), text(&response["description"]).to_owned())),
    );
    let first = operation["responses"].as_object().into_iter().flatten().next();
    if let Some((_, response)) = first
        && let Some((_, content)) = response["content"].as_object().into_iter().flatten().next()
    {
        let named = text(&content["schema"]["$ref"]).rsplit('/').next().unwrap_or_default();
        let shown = if content["example"].is_null() {
            &description["components"]["schemas"][named]["example"]
        } else {
            &content["example"]
        };
        example(body, shown);
    }
}

fn render_schemas(body: &mut String, schemas: &Value) {
    body.push_str("<h2 id=\"types\">Types</h2>");
    for (name, schema) in schemas.as_object().into_iter().flatten() {
        put(body, format_args!("<h3 id=\"type-{0}\">{0}</h3>", escaped(name)));
        paragraphs(body, text(&schema["description"]));
        let properties = schema["properties"].as_object().into_iter().flatten();
        table(
            body,
            properties.map(|(name, property)| {
                (name.clone(), format!("`{}` {}", kind_of(property), text(&property["description"])))
            }),
        );
        let listed = schema["enum"].as_array().map_or(&[][..], Vec::as_slice);
        if !listed.is_empty() {
            let names: Vec<_> = listed.iter().map(|value| format!("`{}`", text(value))).collect();
            paragraphs(body, &names.join(", "));
        }
    }
}

fn kind_of(property: &Value) -> String {
    let named = text(&property["$ref"]).rsplit('/').next().unwrap_or_default();
    if !named.is_empty() {
        return named.to_owned();
    }
    match &property["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", kind_of(&property["items"])),
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => {
            let alternatives = property["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
            alternatives.iter().map(kind_of).filter(|kind| !kind.is_empty()).collect::<Vec<_>>().join(" or ")
        }
    }
}

fn schema_link(schema: &Value) -> String {
    let name = text(&schema["$ref"]).rsplit('/').next().unwrap_or_default();
    if name.is_empty() { String::new() } else { format!("<a href=\"#type-{0}\">{0}</a>", escaped(name)) }
}

fn example(body: &mut String, value: &Value) {
    let shown = match value {
        Value::Null => return,
        Value::String(lines) => lines.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    put(body, format_args!("<pre tabindex=\"0\"><code>{}</code></pre>", escaped(&shown)));
}

fn table(body: &mut String, rows: impl Iterator<Item = (String, String)>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    body.push_str("<table>");
    for (name, meaning) in rows {
        put(
            body,
            format_args!("<tr><td><code>{}</code></td><td>{}</td></tr>", escaped(&name), with_code(&meaning)),
        );
    }
    body.push_str("</table>");
}

fn paragraphs(body: &mut String, text: &str) {
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        put(body, format_args!("<p>{}</p>", with_code(paragraph)));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
