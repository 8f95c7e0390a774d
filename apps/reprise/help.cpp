#include "help.h"

#include <sstream>

namespace reprise::app {

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
    if (option->get_type_size() == 0) return "";
    std::string name = option->get_type_name();  // "TEXT:auto|f32" where a check says what may be given
    if (const auto colon = name.find(':'); colon != std::string::npos) name.erase(0, colon + 1);
    return " " + (name == "INT" || name == "UINT" ? "N" : name);
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
    std::string text = option->get_description();
    if (option->get_required()) text += " (required)";
    const std::string otherwise = option->get_type_size() == 0 ? "" : option->get_default_str();
    if (!otherwise.empty()) text += " [" + otherwise + "]";
    std::istringstream words(text);
    std::string wrapped;
    std::size_t column = 0;
    for (std::string word; words >> word;) {
        if (column > 0 && column + 1 + word.size() > kTextWidth) {
            wrapped += '\n';
            column = 0;
        } else if (column > 0) {
            wrapped += ' ';
            ++column;
        }
        wrapped += word;
        column += word.size();
    }
    return wrapped;
}

}  // namespace reprise::app
