//! The page in a browser: no error, all pictures, nothing cut, nothing of the user's taken for markup.
//!
//! Where there is no Chromium these tests say so and pass, unless `DISTILL_TEST_CHROMIUM` is set: then they fail.

use crate::support::dir::Dir;
use crate::support::tiny;
use serde_json::Value;
use std::process::Command;

const HOSTILE: [&str; 6] = [
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">",
    "</style></title></svg><h1>owned</h1>",
    "\u{202e}drawkcab \u{2067}mixed שלום עולם مرحبا",
    "good\u{0}bad\u{7}bell \u{fffe}",
    "&lt;already&gt; &amp; 'quoted' \"twice\" `ticks` ]]> -->",
    "\u{202e}",
];

/// Looks for a browser; nothing where there is none and none is demanded.
fn browser() -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome", "chrome"].into_iter().find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    });
    assert!(
        found.is_some() || std::env::var_os("DISTILL_TEST_CHROMIUM").is_none(),
        "DISTILL_TEST_CHROMIUM is set, but there is no Chromium: `apt-get install chromium`"
    );
    if found.is_none() {
        #[expect(clippy::print_stderr, reason = "a check that is left out is said to be")]
        {
            eprintln!(
                "SKIPPED: there is no Chromium; `apt-get install chromium`, or set DISTILL_TEST_CHROMIUM to demand it"
            );
        }
    }
    found
}

/// What is looked at within the page.
const CHECK: &str = r#"
const said = [];
const name = e => e.tagName + (e.getAttribute('class') ? '.' + e.getAttribute('class') : '') + ' ' + e.textContent.slice(0, 40);
const wide = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > wide) said.push('the page is wider than the window: ' + document.documentElement.scrollWidth);
for (const e of document.querySelectorAll('h1,h2,h3,p,li,dd,dt,figcaption,summary')) {
  const box = e.getBoundingClientRect();
  if (box.width && (box.right > wide + 1 || box.left < -1 || e.scrollWidth > e.clientWidth + 1)) said.push('cut: ' + name(e));
}
for (const e of document.querySelectorAll('td,th')) {
  const scroll = e.closest('.scroll');
  if (!scroll) said.push('a table that does not scroll: ' + name(e));
  if (e.scrollWidth > e.clientWidth + 1) said.push('cut: ' + name(e));
}
for (const svg of document.querySelectorAll('figure svg')) {
  const frame = svg.getBoundingClientRect();
  if (frame.width < 100 || frame.height < 50) said.push('a picture that is not there: ' + name(svg));
  if (!svg.querySelector('title')?.textContent || !svg.querySelector('desc')?.textContent) said.push('a picture without words');
  for (const text of svg.querySelectorAll('text')) {
    const box = text.getBoundingClientRect();
    if (box.left < frame.left - 2 || box.right > frame.right + 2 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2)
      said.push('writing outside of its picture: ' + svg.querySelector('title').textContent + ': ' + text.textContent);
    if (parseFloat(getComputedStyle(text).fontSize) * frame.width / 360 < 8.5) said.push('writing too small: ' + text.textContent);
  }
}
const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
if (new Set(ids).size !== ids.length) said.push('an id is there twice');
for (const e of document.querySelectorAll('[aria-labelledby]'))
  for (const id of e.getAttribute('aria-labelledby').split(' ')) if (!document.getElementById(id)) said.push('no ' + id);
const parse = color => color.match(/[\d.]+/g).slice(0, 3).map(Number);
const light = rgb => { const [r, g, b] = rgb.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b };
const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$|transparent/.test(c)) return parse(c) } return [255, 255, 255] };
for (const e of document.querySelectorAll('p,li,td,th,small,summary,span,b,a,text,code')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own) continue;
  const style = getComputedStyle(e);
  const [a, b] = [light(parse(e.tagName === 'text' ? style.fill : style.color)), light(ground(e))];
  const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (contrast < 4.5) said.push('contrast ' + contrast.toFixed(2) + ': ' + name(e));
}
parent.postMessage(JSON.stringify({said: said.slice(0, 20), pictures: document.querySelectorAll('figure svg').length,
  scripts: document.scripts.length - 1, images: document.images.length, title: document.title,
  headings: document.querySelectorAll('h1').length, dark: matchMedia('(prefers-color-scheme: dark)').matches}), '*');
"#;

/// Opens a page in a window of this width, and returns what the check has found.
fn look(dir: &Dir, browser: &str, page: &str, width: usize, dark: bool) -> Value {
    let checked = dir.text(page).replace("</body>", &format!("<script>{CHECK}</script></body>"));
    dir.write("checked.html", checked);
    // A window has a least width, a frame has none.
    let frame = format!(
        "<!DOCTYPE html><meta name=color-scheme content=\"light dark\"><title>frame</title><iframe src=checked.html style=\"width:{width}px;height:900px;border:0\"></iframe>\
         <script>addEventListener('message', e => {{ const p = document.createElement('pre'); p.id = 'found'; \
         p.textContent = btoa(unescape(encodeURIComponent(e.data))); document.body.append(p) }})</script>"
    );
    dir.write("frame.html", frame);
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--hide-scrollbars",
        "--virtual-time-budget=20000",
        "--window-size=1400,1000",
        "--dump-dom",
    ]);
    if dark {
        command.arg("--blink-settings=preferredColorScheme=0");
    }
    let profile = dir.path("profile");
    command.arg(format!("--user-data-dir={}", profile.display()));
    let output = command
        .arg(format!("file://{}", dir.path("frame.html").display()))
        .output()
        .expect("the browser starts");
    let (dom, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let console: Vec<&str> = errors.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "{console:?}");
    let found = dom.split("id=\"found\">").nth(1).and_then(|rest| rest.split('<').next());
    let found = found.unwrap_or_else(|| panic!("the page did not answer:\n{dom}\n{errors}"));
    serde_json::from_slice(&base64(found)).expect("the answer is JSON")
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte));
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        bits = (bits << 6) | digit as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

/// Writes models with hostile names and a file of hostile texts, and compares them.
fn hostile(dir: &Dir) {
    let labels = ["<b>no</b>", "\"yes\" & 'so'", "\u{202e}maybe"];
    let models =
        ["teacher<i>", "a&b\"c'", "\u{202e}txt.model-with-a-very-long-name-that-goes-on-and-on-and-on"];
    for (seed, name) in models.into_iter().enumerate() {
        tiny::write(&dir.path(name), tiny::config(&labels), seed as u64 + 1);
    }
    let long = "incomprehensibilities".repeat(3000);
    let rows = (0..120).map(|row| {
        let text = if row == 7 { long.as_str() } else { HOSTILE[row % HOSTILE.len()] };
        serde_json::json!({ "sentence": format!("{text} {row}"), "label": labels[row % 3] }).to_string()
    });
    dir.write("dev.jsonl", rows.collect::<Vec<_>>().join("\n"));
    let mut command = dir.command("compare --data dev.jsonl --time-seconds 1 --resamples 200 --out report");
    for (flag, model) in ["--teacher", "--student", "--student"].into_iter().zip(models) {
        command.arg(flag).arg(model);
    }
    let output = command.output().unwrap();
    let done = dir.done(&output);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(!done.stdout.contains('\u{202e}') && !done.stdout.contains('\0'));
}

#[test]
fn hostile_names_and_texts_are_shown_as_they_are_written() {
    let dir = Dir::new();
    hostile(&dir);
    let page = dir.text("report/report.html");
    assert!(
        !page.contains("<script") && !page.contains("<img") && !page.contains("http"),
        "nothing is loaded or run"
    );
    assert!(page.contains("&lt;script&gt;document.title=&#39;owned&#39;"));
    assert!(!page.contains(['\0', '\u{7}', '\u{202e}', '\u{2067}', '\u{fffe}']));
    assert!(page.len() < 600_000, "the page has {} bytes", page.len());
    let text = dir.text("report/report.md");
    assert!(!text.contains("<script") && !text.contains('\0'));
    let Some(browser) = browser() else { return };
    for (width, dark) in [(1280, false), (390, false), (1280, true), (390, true)] {
        let found = look(&dir, browser, "report/report.html", width, dark);
        assert_eq!(found["said"], serde_json::json!([]), "at {width}, dark: {dark}");
        assert_eq!(found["dark"], dark);
        assert_eq!(
            (&found["scripts"], &found["images"], &found["headings"]),
            (&0.into(), &0.into(), &1.into())
        );
        // The forest, three of cost, and reliability and confusion of each model.
        assert_eq!(found["pictures"], 10, "at {width}");
        assert!(found["title"].as_str().unwrap().contains("dev.jsonl"));
    }
}
