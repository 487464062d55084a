//! The page itself: the answer first, then what speaks for it.

use std::fmt::Write as _;

use session::Overrides;
use session::diagnosis::compare::{Comparison, Pair, Side};
use session::diagnosis::key::Known;
use session::diagnosis::verdict::{Try, Word};
use session::diagnosis::{Census, Group, Holders, Key, Placed, Rule, Survey};
use session::format::{bytes, count, grouped};
use session::whatif::Cell;

use super::super::compare::signed;
use super::super::forecast::sentences;
use super::change::change;
use super::curves::curves;
use super::map::map;
use super::{Part, safe};

/// Groups of a table; the rest is counted.
const ROWS: usize = 40;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#59636e;--line:#d1d9e0;--back:#fff;--bar:#3b6ea5;--pin:#b35900;--raw:#6e5494}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9198a1;--line:#3d444d;--back:#0d1117;--bar:#79b0e8;--pin:#f0a35e;--raw:#b9a3e3}}\
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:var(--ink);background:var(--back)}\
h1{font-size:1.5rem}h2{font-size:1.25rem;margin-top:2.2rem;overflow-wrap:anywhere}h3{font-size:1.05rem;margin-top:1.6rem}\
.word{font-size:1.3rem;font-weight:600}.dim{color:var(--dim)}table{border-collapse:collapse;width:100%;font-size:.87rem}\
th,td{padding:.2rem .5rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}\
th:last-child,td:last-child{text-align:left;white-space:normal;overflow-wrap:anywhere}\
.scroll{overflow-x:auto}code{font-size:.9em;overflow-wrap:anywhere}svg{width:100%;height:auto}\
svg text{font-size:11px;fill:var(--dim)}svg .grid{stroke:var(--line)}polyline{fill:none;stroke-width:2}\
polyline.held{stroke:var(--pin);stroke-dasharray:7 3}polyline.live{stroke:var(--bar)}polyline.raw{stroke:var(--raw);stroke-dasharray:2 3}\
.legend span{margin-right:1.2rem;padding-left:.4rem;border-left:4px solid}.legend .held{border-color:var(--pin)}\
.legend .live{border-color:var(--bar)}.legend .raw{border-color:var(--raw)}.bar{display:inline-block;height:.7rem;background:var(--bar);vertical-align:middle}\
.bar.modelled{background:repeating-linear-gradient(45deg,var(--bar) 0 3px,transparent 3px 6px);outline:1px solid var(--bar)}\
svg.map rect{stroke:var(--line)}svg.map .alone{stroke:var(--pin);stroke-width:2}.u0{fill:transparent}\
.u1{fill:color-mix(in srgb,var(--bar) 22%,transparent)}.u2{fill:color-mix(in srgb,var(--bar) 45%,transparent)}\
.u3{fill:color-mix(in srgb,var(--bar) 70%,transparent)}.u4{fill:var(--bar)}\
i{display:inline-block;width:.8rem;height:.8rem;border:1px solid var(--line);margin:0 .3rem 0 .8rem;vertical-align:-.1rem}\
i.u1{background:color-mix(in srgb,var(--bar) 22%,transparent)}i.u2{background:color-mix(in srgb,var(--bar) 45%,transparent)}\
i.u3{background:color-mix(in srgb,var(--bar) 70%,transparent)}i.u4{background:var(--bar)}i.alone{border:2px solid var(--pin)}\
details{margin:.6rem 0}summary{cursor:pointer}li{margin:.2rem 0}";

/// The whole page. Text from a trace is hostile until it is escaped, and no script may run whatever it says.
pub(super) fn page(parts: &mut [Part], cells: &[Cell], overrides: &Overrides) -> String {
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Arenascope report</title><style>{STYLE}</style><h1>Who holds the memory</h1>\n"
    );
    if parts.len() > 1 {
        overview(&mut html, parts);
    }
    if let [first, others @ ..] = parts {
        for other in others {
            compared(&mut html, first, other);
        }
    }
    for part in parts {
        self::part(&mut html, part);
        change(&mut html, part, cells, overrides);
    }
    let _ = writeln!(
        html,
        "<p class=\"dim\">Arenascope {}. KiB and MiB are of 1,024. Figures that are hatched or called modelled follow from where \
         the model, or the recorded addresses, put blocks.</p></html>",
        env!("CARGO_PKG_VERSION")
    );
    html
}

/// Several traces in a table, to see them beside each other.
fn overview(html: &mut String, parts: &[Part]) {
    html.push_str(
        "<div class=\"scroll\"><table><tr><th>operations<th>peak arenas<th>arenas at the end<th>their bytes<th>live bytes<th>verdict<th>trace, as the model runs it\n",
    );
    for part in parts {
        let survey = &part.found.survey;
        let end = survey.points.last().copied().unwrap_or_default();
        let _ = writeln!(
            html,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}",
            grouped(end.step),
            grouped(survey.arenas_highwater),
            grouped(end.arenas),
            bytes(end.held_bytes),
            bytes(end.live_bytes()),
            part.verdict.word.name(),
            safe(&part.file)
        );
    }
    html.push_str("</table></div>\n");
}

fn part(html: &mut String, part: &mut Part) {
    let Part { file, found, verdict, placed } = part;
    let profile = found.inquiry.setup().profile.name.clone();
    let operations = found.inquiry.trace().len();
    let _ = write!(
        html,
        "<h2>{}</h2><p class=\"dim\">{}, {}</p><p><span class=\"word\">{}</span> \
         <span class=\"dim\">confidence {:.0} %</span><br>{}</p><ul>",
        safe(file),
        count(operations, "operation"),
        safe(&profile),
        verdict.word.name(),
        100.0 * verdict.confidence,
        safe(&verdict.says.text)
    );
    for evidence in &verdict.evidence {
        let _ = write!(html, "<li>{}", safe(&evidence.said.text));
    }
    for doubt in &verdict.doubts {
        let _ = write!(html, "<li class=\"dim\">doubt: {}", safe(doubt));
    }
    html.push_str("</ul>");
    if verdict.word != Word::Healthy {
        html.push_str("<h3>What to try</h3><ul>");
        for tried in &verdict.tries {
            match tried {
                Try::Do(what) => {
                    let _ = write!(html, "<li>{}", safe(what));
                }
                Try::Ask(ask) => {
                    let _ = write!(html, "<li><code>arenascope {}</code>", safe(&ask.call(file)));
                }
            }
        }
        html.push_str("</ul>");
    }
    let _ = write!(html, "<h3>Over the run</h3>{}", curves(&found.survey));
    let step = operations;
    let census = found.inquiry.census(&found.machine, step, *placed);
    moment(html, &census, found.doubts.trust);
    let usual = Key::usual(found.inquiry.trace());
    html.push_str(&map(&census, &found.inquiry.holders(&census, usual, Rule::Sole)));
    waterfall(html, part, &census);
    let known = Known::of(part.found.inquiry.trace());
    for (at, key) in Key::choices(known).enumerate() {
        let holders = part.found.inquiry.holders(&census, key, Rule::Sole);
        if holders.groups.len() < 2 && at > 0 {
            continue;
        }
        let open = if at == 0 { " open" } else { "" };
        let _ = write!(html, "<details{open}><summary>Holders at the end by {}</summary>", key.name());
        table(html, &holders);
        html.push_str("</details>\n");
    }
    gives_back(html, part, &census);
    grown(html, &part.found.survey);
}

/// What to free to get a part of the arenas back.
fn gives_back(html: &mut String, part: &Part, census: &Census) {
    /// Hundredths of what is held.
    const PERCENT: u64 = 25;
    let inquiry = &part.found.inquiry;
    let holders = inquiry.holders(census, Key::usual(inquiry.trace()), Rule::Sole);
    let want = census.held_bytes() / 100 * PERCENT;
    if want == 0 {
        return;
    }
    let (groups, forecast) = inquiry.want(&part.found.machine, census, &holders, want);
    let enough = if forecast.returned_bytes >= want { "" } else { ", which all together do not give" };
    let _ = writeln!(
        html,
        "<details><summary>What to free to get {PERCENT} % of the arenas back, {}</summary><ul>",
        bytes(want)
    );
    for sentence in sentences(&forecast) {
        let _ = writeln!(html, "<li>{}", safe(&sentence));
    }
    let _ = writeln!(html, "</ul><p>By {}{enough}:</p><ol>", holders.key.name());
    for group in groups.iter().take(ROWS).filter_map(|group| holders.groups.get(*group as usize)) {
        let _ = writeln!(html, "<li>{} ({})", safe(&group.label.to_string()), bytes(group.bytes));
    }
    html.push_str("</ol>");
    if groups.len() > ROWS {
        let _ = write!(html, "<p class=\"dim\">and {} more</p>", grouped((groups.len() - ROWS) as u64));
    }
    html.push_str("</details>\n");
}

/// The ends of two traces beside each other, on the heap that both can be asked on.
fn compared(html: &mut String, a: &mut Part, b: &mut Part) {
    let placed = if a.placed == b.placed { a.placed } else { Placed::Model };
    let known = Known::of(a.found.inquiry.trace()).both(Known::of(b.found.inquiry.trace()));
    let key = Key::usual_for(known);
    let comparison = Comparison::of(&side(a, placed, key), &side(b, placed, key));
    let _ = writeln!(html, "<h2>{} beside {}</h2>", safe(&b.file), safe(&a.file));
    html.push_str("<p class=\"dim\">Both at their ends. A change is what the one named first has more.</p>");
    html.push_str("<div class=\"scroll\"><table><tr><th>before<th>after<th>change<th>figure\n");
    for figure in &comparison.figures {
        let amount = |number: u64| if figure.bytes { bytes(number) } else { grouped(number) };
        changed(html, figure.pair, amount, &figure.name);
    }
    let _ = writeln!(
        html,
        "</table></div><details><summary>Live bytes by {}</summary><div class=\"scroll\"><table><tr><th>before<th>after<th>change<th>{}",
        key.name(),
        key.name()
    );
    let differ: Vec<_> = comparison.groups.iter().filter(|group| group.differs()).collect();
    for group in differ.iter().take(ROWS) {
        changed(html, group.bytes, bytes, &group.label.to_string());
    }
    html.push_str("</table></div>");
    if differ.len() > ROWS {
        let _ =
            write!(html, "<p class=\"dim\">and {} more</p>", count((differ.len() - ROWS) as u64, "group"));
    }
    html.push_str("</details>\n");
}

fn side(part: &mut Part, placed: Placed, key: Key) -> Side {
    let found = &mut part.found;
    let step = found.inquiry.trace().len();
    let census = found.inquiry.census(&found.machine, step, placed);
    let holders = found.inquiry.holders(&census, key, Rule::Sole);
    Side::of(&found.inquiry, &found.machine, &census, holders)
}

fn changed(html: &mut String, pair: Pair, amount: impl Fn(u64) -> String, name: &str) {
    let change = signed(pair.change(), &amount);
    let _ = writeln!(html, "<tr><td>{}<td>{}<td>{change}<td>{}", amount(pair.a), amount(pair.b), safe(name));
}

fn moment(html: &mut String, census: &Census, trust: Option<f64>) {
    let heap = match census.placed {
        Placed::Model => "as the model places blocks",
        Placed::Recorded => {
            "as recorded; free lists are not in a recording, nor arenas that came and went unseen"
        }
    };
    let trust = trust.map_or_else(String::new, |share| {
        format!(" The model puts {:.1} % of the blocks where they were recorded.", 100.0 * share)
    });
    let held = census.held_bytes();
    let _ = write!(
        html,
        "<h3>At the end</h3><p>{} held, {}, {} of them part used; {heap}.{trust}</p>",
        count(census.regions.len() as u64, "arena"),
        bytes(held),
        grouped(census.part_used())
    );
}

fn waterfall(html: &mut String, part: &Part, census: &Census) {
    let waterfall = part.found.inquiry.waterfall(&part.found.machine, census);
    html.push_str("<div class=\"scroll\"><table><tr><th>bytes<th>share<th>what for\n");
    for row in &waterfall.parts {
        let share = 100.0 * row.bytes as f64 / waterfall.total_bytes.max(1) as f64;
        let class = if row.modelled { "bar modelled" } else { "bar" };
        let _ = writeln!(
            html,
            "<tr><td>{}<td>{share:.1} %<td>{} <span class=\"{class}\" style=\"width:{:.2}rem\"></span>",
            grouped(row.bytes),
            row.cause.name(),
            share * 0.3
        );
    }
    let _ = writeln!(html, "<tr><td>{}<td>100 %<td>in all</table></div>", grouped(waterfall.total_bytes));
}

fn table(html: &mut String, holders: &Holders) {
    html.push_str(
        "<div class=\"scroll\"><table><tr><th>pinned<th>arenas<th>alone<th>blocks<th>bytes<th>share of bytes<th>",
    );
    let _ = writeln!(html, "{}", holders.key.name());
    let all: u64 = holders.groups.iter().map(|group| group.bytes).sum();
    let mut rows: Vec<&Group> = holders.groups.iter().collect();
    let rest = rows.split_off(rows.len().min(ROWS));
    for group in rows {
        let _ = writeln!(
            html,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{:.1} %<td>{}",
            bytes(group.pinned_bytes),
            grouped(group.arenas),
            grouped(group.arenas_alone),
            grouped(group.blocks),
            bytes(group.bytes),
            100.0 * group.bytes as f64 / all.max(1) as f64,
            safe(&group.label.to_string())
        );
    }
    html.push_str("</table></div>");
    if !rest.is_empty() {
        let blocks = rest.iter().map(|group| group.blocks).sum();
        let _ = write!(
            html,
            "<p class=\"dim\">and {} more with {} ({})</p>",
            count(rest.len() as u64, "group"),
            count(blocks, "block"),
            bytes(rest.iter().map(|group| group.bytes).sum())
        );
    }
}

fn grown(html: &mut String, survey: &Survey) {
    if survey.grown.is_empty() {
        return;
    }
    let _ = writeln!(
        html,
        "<details><summary>What grew from half-way to the end, by {}</summary><div class=\"scroll\"><table><tr><th>half-way<th>end<th>more<th>{}",
        survey.key.name(),
        survey.key.name()
    );
    for grown in &survey.grown {
        let _ = writeln!(
            html,
            "<tr><td>{}<td>{}<td>+{}<td>{}",
            bytes(grown.before),
            bytes(grown.after),
            bytes(grown.after - grown.before),
            safe(&grown.label.to_string())
        );
    }
    html.push_str("</table></div></details>");
}
