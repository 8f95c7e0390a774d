#include "media/image_text.h"

namespace reprise {

std::optional<std::string> text_in_lines(std::string_view lines, std::string_view key) {
    const std::string start = std::string(key) + ": ";
    while (!lines.empty()) {
        const std::string_view line = lines.substr(0, lines.find('\n'));
        if (line.starts_with(start)) return std::string(line.substr(start.size()));
        lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    }
    return std::nullopt;
}

std::optional<std::string> text_in(std::span<const std::byte> bytes, std::string_view key) {
    auto found = text_in_png(bytes, key);
    return found ? found : text_in_webp(bytes, key);
}

}  // namespace reprise
