#include "report/comparison_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "media/image_resize.h"
#include "report/html.h"
#include "report/marker.h"
#include "report/svg.h"

namespace reprise::report {

namespace {

/// Longest sides of pictures and of frames in a page; larger ones are shrunk for it.
constexpr int kPictureSide = 512, kFrameSide = 256;
/// Pictures up to this side are shown with their pixels as squares.
constexpr int kSmallSide = 256;
/// Of a contact sheet: its pixels, those between its pictures, and the longest side to which these are shrunk
/// before rows are left out.
constexpr std::int64_t kSheetPixels = std::int64_t{1} << 25;
constexpr int kSheetGap = 8, kLeastSide = 64;

}  // namespace

std::string key(const Comparison& comparison, const Way& way) {
    std::string shape;
    if (way.kind == Way::Kind::cached) {
        const auto index = static_cast<std::size_t>(&way - comparison.cached.data());
        shape = marker(index, 7, 7, 5.6, fmt::format("class=\"c{}\"", index % svg::kColours));
    } else if (way.kind == Way::Kind::fewer) {
        shape = "<circle class=\"hollow\" cx=\"7\" cy=\"7\" r=\"4\"/>";
    }
    return fmt::format("<svg class=\"key\" viewBox=\"0 0 14 14\" aria-hidden=\"true\">{}</svg>", shape);
}

std::string breakable(const std::string& name) {
    std::string html;
    for (const char c : escaped(name)) {
        html += c;
        if (c == ':' || c == ',' || c == '+' || c == '/') html += "<wbr/>";
    }
    return html;
}

namespace {

/// A picture's size with its longer side at most this.
ImageSize shrunk_size(const Image& image, int side) {
    const int longest = std::max(image.width(), image.height());
    if (longest <= side) return {image.width(), image.height()};
    const auto scaled = [&](int length) {
        return std::max(1, static_cast<int>(std::lround(1.0 * length * side / longest)));
    };
    return {scaled(image.width()), scaled(image.height())};
}

Image shrunk(const Image& image, int side) {
    if (std::max(image.width(), image.height()) <= side) return image;
    return resize_lanczos(image, shrunk_size(image, side));
}

/// A picture, or the frames of a video side by side in one, of which the page shows one at a time.
std::string picture(const std::vector<Image>& frames, const std::string& alt) {
    if (frames.size() == 1) {
        const Image image = shrunk(frames.front(), kPictureSide);
        return fmt::format("<span class=\"picture{}\">{}</span>",
                           image.width() <= kSmallSide ? " small-picture" : "", embedded(image, alt));
    }
    std::vector<Image> small;
    const int side = std::min<int>(kFrameSide, Image::kMaxSide / static_cast<int>(frames.size()));
    for (const auto& frame : frames) small.push_back(shrunk(frame, std::max(1, side)));
    return fmt::format("<span class=\"picture video\" style=\"--frames: {}\">{}</span>", frames.size(),
                       embedded(montage(small, {0, 0}), alt));
}

/// Whether a sheet of such cells is small enough.
bool sheet_fits(std::size_t columns, std::size_t rows, int width, int height) {
    const auto length = [](std::size_t cells, int side) {
        return static_cast<std::int64_t>(cells) * (side + kSheetGap) - kSheetGap;
    };
    const std::int64_t across = length(columns, width), down = length(rows, height);
    return across <= Image::kMaxSide && down <= Image::kMaxSide && across * down <= kSheetPixels;
}

std::string caption_of(const Pair& pair, std::size_t pairs) {
    if (pairs == 1) return escaped(pair.prompt);
    return fmt::format("{} <small>seed {}{}</small>", escaped(pair.prompt), pair.seed,
                       pair.number > 0 ? fmt::format(", picture {}", pair.number + 1) : "");
}

std::string distance_text(const Way& way, std::size_t pair) {
    if (way.kind == Way::Kind::full) return "every step computed";
    const std::string similar = similarity(way.distances.ssim[pair]);
    return fmt::format("{}{} · {:.2f}×", decibels(way.distances.psnr[pair]),
                       similar.empty() ? "" : " · SSIM " + similar, way.speedup().median);
}

std::string pictures(const Comparison& comparison, std::size_t shown) {
    std::string html;
    const auto ways = comparison.shown();
    for (std::size_t p = 0; p < shown; ++p) {
        const Pair& pair = comparison.pairs[p];
        html += fmt::format("<section class=\"pair\"><h3>{}</h3>\n<div class=\"strip\">\n",
                            caption_of(pair, comparison.pairs.size()));
        for (std::size_t w = 0; w < ways.size(); ++w)
            html += fmt::format(
                "<figure data-pair=\"{}\" data-way=\"{}\">{}<figcaption><b>{}{}</b><small>{}</small>"
                "</figcaption></figure>\n",
                p, w, picture(ways[w]->made[p].frames, fmt::format("{}: {}", ways[w]->name, pair.prompt)),
                ways[w]->kind == Way::Kind::full ? "" : key(comparison, *ways[w]), breakable(ways[w]->name),
                distance_text(*ways[w], p));
        html += "</div></section>\n";
    }
    return html;
}

/// Two pictures over one another, with a slider; shown by the script alone.
std::string viewer(const Comparison& comparison, std::size_t shown) {
    std::string pairs, ways;
    for (std::size_t p = 0; p < shown; ++p)
        pairs += fmt::format(
            "<option value=\"{}\">{}, seed {}{}</option>", p, escaped(comparison.pairs[p].prompt),
            comparison.pairs[p].seed,
            comparison.pairs[p].number > 0 ? fmt::format(" ({})", comparison.pairs[p].number + 1) : "");
    const auto all = comparison.shown();
    for (std::size_t w = 1; w < all.size(); ++w)
        ways += fmt::format("<option value=\"{}\">{}</option>", w, escaped(all[w]->name));
    return fmt::format(
        "<div class=\"viewer card\" id=\"viewer\" hidden=\"hidden\">\n<div><div class=\"stage\"><div "
        "class=\"under\"></div><div class=\"over\"></div><div class=\"bar\"></div></div>\n"
        "<input type=\"range\" min=\"0\" max=\"100\" value=\"50\" aria-label=\"Where the full picture ends "
        "and the "
        "other begins\"/>\n<div class=\"ends\"><span>full</span><span class=\"right\"></span></div></div>\n"
        "<div class=\"controls\"><label>Picture<select name=\"pair\">{}</select></label>\n"
        "<div class=\"turn\"><button type=\"button\" class=\"before\">← before</button><button "
        "type=\"button\" "
        "class=\"after\">next →</button></div>\n<label>Beside full<select name=\"way\">{}</select></label>\n"
        "<p class=\"distance\" aria-live=\"polite\"></p>\n<label class=\"tick\"><input type=\"checkbox\" "
        "name=\"differing\"/>show the difference instead</label></div>\n</div>\n",
        pairs, ways);
}

}  // namespace

std::string picture_section(const Comparison& comparison, std::size_t shown) {
    const bool video = comparison.full.made.front().frames.size() > 1;
    std::string html = "<h2>Pictures</h2>\n";
    if (shown < comparison.pairs.size())
        html += fmt::format(
            "<p class=\"soft\">{} of {} pairs of prompt and seed; the figures above are of all.</p>\n", shown,
            comparison.pairs.size());
    if (video)
        html +=
            "<p><label><input type=\"checkbox\" id=\"play\" checked=\"checked\"/> play the "
            "frames</label></p>\n";
    return html + viewer(comparison, shown) + pictures(comparison, shown);
}

Image contact_sheet(const Comparison& comparison, std::size_t most_pairs) {
    const auto shown = comparison.shown();
    const Image& first = comparison.full.made.front().frames.front();
    const int longest = std::max(first.width(), first.height());
    std::size_t rows = std::min(most_pairs, comparison.pairs.size());
    int side = longest;
    const auto fits = [&] {
        const auto size = shrunk_size(first, side);
        return sheet_fits(shown.size(), rows, size.width, size.height);
    };
    while (side > kLeastSide && !fits()) --side;
    while (rows > 1 && !fits()) --rows;
    while (side > 1 && !fits()) --side;  // of very many ways
    std::vector<Image> pictures;
    for (std::size_t p = 0; p < rows; ++p)
        for (const Way* way : shown) {
            const auto& frames = way->made.at(p).frames;
            pictures.push_back(shrunk(frames.at(frames.size() / 2), side));
        }
    return montage(pictures, {static_cast<int>(shown.size()), kSheetGap});
}

}  // namespace reprise::report
