#include "files/file_set.h"

#include <system_error>

#include "reprise/error.h"

namespace reprise {

bool FileSet::has(std::string_view name) const {
    if (texts_) return texts_->contains(name);
    std::error_code ignored;
    return std::filesystem::exists(where_ / name, ignored);
}

std::string FileSet::text(std::string_view name) const {
    if (!texts_) return read_text_file(where_ / name);
    const auto found = texts_->find(name);
    if (found == texts_->end()) usage_error("{}: no such file", (where_ / name).string());
    return found->second;
}

Json FileSet::json(std::string_view name) const {
    return parse_json(text(name), (where_ / name).string());
}

}  // namespace reprise
