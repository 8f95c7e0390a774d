#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "report/html.h"
#include "report/text.h"

namespace reprise::report::svg {

double Box::overlap(const Box& other) const {
    const double across = std::min(right(), other.right()) - std::max(x, other.x);
    const double down = std::min(bottom(), other.bottom()) - std::max(y, other.y);
    return across > 0 && down > 0 ? across * down : 0;
}

std::string number(double value) {
    std::string text = fmt::format("{:.2f}", value);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    return text == "-0" ? "0" : text;
}

double text_width(std::string_view text, double font_size) {
    constexpr std::string_view kNarrow = "iljtfrI.,:;'|!()[]/ ", kWide = "mwMWO@%";
    double ems = 0;
    for (const char c : text) {
        if ((static_cast<unsigned char>(c) & 0xC0U) == 0x80U) continue;  // inside a character
        ems += kNarrow.find(c) != kNarrow.npos ? 0.36 : kWide.find(c) != kWide.npos ? 0.92 : 0.62;
    }
    return ems * font_size;
}

std::string fitted(std::string_view text, double font_size, double width) {
    std::string shown(text);
    if (text_width(shown, font_size) <= width) return shown;
    while (!shown.empty() && text_width(shown + "…", font_size) > width) {
        while (!shown.empty() && (static_cast<unsigned char>(shown.back()) & 0xC0U) == 0x80U)
            shown.pop_back();
        if (!shown.empty()) shown.pop_back();
    }
    return shown + "…";
}

std::string text(Point at, std::string_view content, std::string_view attributes) {
    return fmt::format("<text x=\"{}\" y=\"{}\"{}{}>{}</text>\n", number(at.x), number(at.y),
                       attributes.empty() ? "" : " ", attributes, escaped(content));
}

namespace {

std::string closed(std::string_view name, std::string_view tooltip) {
    return tooltip.empty() ? "/>\n" : fmt::format("><title>{}</title></{}>\n", escaped(tooltip), name);
}

}  // namespace

std::string rect(const Box& box, std::string_view attributes, std::string_view tooltip) {
    return fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" {}", number(box.x), number(box.y),
                       number(box.width), number(box.height), attributes) +
           closed("rect", tooltip);
}

std::string line(Point from, Point to, std::string_view attributes) {
    return fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" {}/>\n", number(from.x), number(from.y),
                       number(to.x), number(to.y), attributes);
}

std::string path(std::string_view d, std::string_view attributes, std::string_view tooltip) {
    return fmt::format("<path d=\"{}\" {}", d, attributes) + closed("path", tooltip);
}

namespace {

constexpr std::string_view kStyle = R"(
svg { font-family: system-ui, "DejaVu Sans", sans-serif; font-size: 12px; }
svg text, svg .ink { fill: #1c1e21; } svg text.soft, svg .soft { fill: #5d636c; }
svg .back { fill: #fbfbfa; } svg .card { fill: #ffffff; }
svg .rule { stroke: #dfe1e4; fill: none; } svg .edge { stroke: #5d636c; fill: none; }
)";
constexpr std::string_view kDark = R"(
svg text, svg .ink { fill: #e7e8ea; } svg text.soft, svg .soft { fill: #a3aab4; }
svg .back { fill: #15171a; } svg .card { fill: #1d2024; }
svg .rule { stroke: #33373d; } svg .edge { stroke: #a3aab4; }
)";

/// After Okabe and Ito's, darker on white and lighter on black.
constexpr std::array<std::array<std::string_view, 2>, kColours> kPalette = {{{"#0068a8", "#56a8e0"},
                                                                             {"#c74e00", "#f0883e"},
                                                                             {"#00805a", "#2fbf91"},
                                                                             {"#a0468f", "#d88ac8"},
                                                                             {"#8a6a00", "#e3b53a"},
                                                                             {"#2b2f77", "#9aa0f0"},
                                                                             {"#b01f4a", "#f2809e"},
                                                                             {"#3f6b1d", "#9ccc6a"}}};

}  // namespace

std::string colour_style() {
    std::string light, dark;
    for (std::size_t i = 0; i < kPalette.size(); ++i)
        for (const bool is_dark : {false, true})
            (is_dark ? dark : light) += fmt::format(
                "svg .c{0} {{ fill: {1}; }} svg .s{0} {{ stroke: {1}; }}\n", i, kPalette[i][is_dark ? 1 : 0]);
    return light + "@media screen and (prefers-color-scheme: dark) {\n" + dark + "}\n";
}

std::string document(const Drawing& drawing, std::string_view body) {
    const std::string width = number(drawing.width), height = number(drawing.height);
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
        "role=\"img\"{2} aria-label=\"{3}\">\n<title>{3}</title>\n{4}<style>{5}@media screen and "
        "(prefers-color-scheme: dark) {{{6}}}\n{7}</style>\n{8}{9}</svg>\n",
        width, height, drawing.classes.empty() ? "" : fmt::format(" class=\"{}\"", drawing.classes),
        escaped(drawing.title),
        drawing.description.empty() ? "" : fmt::format("<desc>{}</desc>\n", escaped(drawing.description)),
        kStyle, kDark, drawing.style,
        drawing.framed ? rect({0, 0, drawing.width, drawing.height}, "class=\"back\"") : "", body);
}

}  // namespace reprise::report::svg
