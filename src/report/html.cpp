#include "report/html.h"

#include <fmt/format.h>

#include "io/image_codec.h"

namespace reprise::report {

std::string escaped(std::string_view text) {
    std::string result;
    for (const char c : text) {
        switch (c) {
            case '&':
                result += "&amp;";
                break;
            case '<':
                result += "&lt;";
                break;
            case '>':
                result += "&gt;";
                break;
            case '"':
                result += "&quot;";
                break;
            case '\'':
                result += "&#39;";
                break;
            default:
                result += c;
        }
    }
    return result;
}

std::string base64(std::span<const std::byte> bytes) {
    static constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t here = std::min<std::size_t>(3, bytes.size() - i);
        unsigned group = 0;
        for (std::size_t j = 0; j < 3; ++j)
            group = group << 8U | (j < here ? std::to_integer<unsigned>(bytes[i + j]) : 0U);
        for (std::size_t j = 0; j < 4; ++j) text += j <= here ? kDigits[group >> (18 - 6 * j) & 63U] : '=';
    }
    return text;
}

std::string embedded(const Image& image, std::string_view alt) {
    return fmt::format(R"(<img width="{}" height="{}" alt="{}" src="data:image/png;base64,{}">)",
                       image.width(), image.height(), escaped(alt), base64(encode_png(image, {}, "page")));
}

std::string page(std::string_view title, std::string_view body) {
    static constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #646a73; --paper: #fbfbfa; --card: #ffffff;
  --line: #e3e4e6; --full: #5b6470; --reused: #c2410c; --fewer: #2563a8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e8ea; --soft: #9aa1ab; --paper: #15171a; --card: #1d2024;
  --line: #33373d; --full: #98a2b0; --reused: #f08a4b; --fewer: #6fa8e6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; text-wrap: balance; }
h2 { font-size: 1.05rem; margin: 2.25rem 0 .75rem; }
p { margin: .4rem 0; max-width: 46rem; }
.soft, figcaption small, th { color: var(--soft); }
.row { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1rem; margin: 0 0 1rem; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; }
figure.small-picture img { image-rendering: pixelated; }
figcaption { padding: .6rem .8rem .7rem; }
figcaption b { display: block; }
.full b, td.full { color: var(--full); } .reused b, td.reused { color: var(--reused); }
.fewer b, td.fewer { color: var(--fewer); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; background: var(--card);
  border: 1px solid var(--line); border-radius: .5rem; }
th, td { padding: .4rem .9rem; text-align: right; white-space: nowrap; border-top: 1px solid var(--line); }
th { font-weight: 500; border-top: 0; } th:first-child, td:first-child { text-align: left; }
td:first-child { font-weight: 600; }
svg { display: block; width: 100%; height: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; } svg text { fill: var(--soft); font: 12px system-ui, "DejaVu Sans", sans-serif; }
svg .full { fill: var(--full); } svg .reused { fill: var(--reused); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.25rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .9em; }
@media (max-width: 40rem) { .row { gap: .4rem; } figcaption { padding: .4rem; font-size: .85rem; } }
)";
    return fmt::format(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n{}\n</body>\n</html>\n",
        escaped(title), kStyle, body);
}

}  // namespace reprise::report
