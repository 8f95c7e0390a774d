#pragma once

#include <string>
#include <string_view>

namespace reprise::report::svg {

/// A rectangle in the drawing's units; y grows downward.
struct Box {
    double x = 0, y = 0, width = 0, height = 0;

    double right() const { return x + width; }
    double bottom() const { return y + height; }
    double center_x() const { return x + width / 2; }
    double center_y() const { return y + height / 2; }
    /// The area that two of them share.
    double overlap(const Box& other) const;
};

struct Point {
    double x = 0, y = 0;
};

/// "12", "12.35": as short as two decimals allow.
std::string number(double value);
/// How wide text becomes in a usual sans-serif font, a little generously. UTF-8.
double text_width(std::string_view text, double font_size);
/// The text, cut with an ellipsis where it would become wider.
std::string fitted(std::string_view text, double font_size, double width);

/// Elements. `attributes` are written as they are; content is escaped.
std::string text(Point at, std::string_view content, std::string_view attributes = {});
std::string rect(const Box& box, std::string_view attributes, std::string_view tooltip = {});
std::string line(Point from, Point to, std::string_view attributes);
std::string path(std::string_view d, std::string_view attributes, std::string_view tooltip = {});

/// A drawing by itself: readable on light and dark screens and in print, nothing loaded from elsewhere. The
/// classes are `ink`, `soft`, `card` (fills), `rule`, `edge` (strokes) and those of `style`.
struct Drawing {
    double width = 0, height = 0;
    std::string title;        ///< for those who do not see it
    std::string description;  ///< likewise; may be empty
    std::string style;        ///< more CSS
    std::string classes;      ///< of the svg element; may be empty
    bool framed = true;       ///< on a background of its own
};
std::string document(const Drawing& drawing, std::string_view body);

/// A colour for the n-th of several things, as the class `cN` (fills, strokes by `sN`), and how many there
/// are: distinguishable by the colour-blind and on both backgrounds. CSS for all of them.
inline constexpr int kColours = 8;
std::string colour_style();

}  // namespace reprise::report::svg
