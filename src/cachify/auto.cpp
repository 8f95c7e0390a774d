// The tuned configurations that lie in a model's folder.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cachify/policies.h"
#include "io/json.h"
#include "reprise/error.h"

namespace reprise::cachify {

Config tuned_config(const PolicyContext& context, double speedup) {
    const auto folder = context.folder / "reprise";
    struct File {
        std::string path, text;
        double speedup;
    };
    std::vector<File> files;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with("tuned-") || !name.ends_with(".json")) continue;
        File file{entry.path().string(), read_text_file(entry.path()), 0};
        const Evidence evidence = parse_evidence(file.text, file.path);
        const auto figure = evidence.figures.find("speedup");
        if (figure == evidence.figures.end()) usage_error("{}: its evidence names no speedup", file.path);
        file.speedup = figure->second;
        files.push_back(std::move(file));
    }
    if (files.empty())
        usage_error(
            "auto: {} has no tuned-*.json; make one with reprise tune --out '{}/tuned-{{speedup}}.json', or "
            "give "
            "another --cache",
            folder.string(), folder.string());
    const auto nearest = std::min_element(files.begin(), files.end(), [&](const File& a, const File& b) {
        return std::pair(std::abs(a.speedup - speedup), a.path) <
               std::pair(std::abs(b.speedup - speedup), b.path);
    });
    return parse_config(nearest->text, nearest->path, context);
}

}  // namespace reprise::cachify
