// The tuned configurations that lie in a model's folder.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cachify/policies.h"
#include "io/json.h"
#include "reprise/error.h"

namespace reprise::cachify {

Config tuned_config(const PolicyContext& context, double speedup, int num_steps) {
    if (context.folder.empty())
        usage_error("auto: there is no model's folder to look in; a tuned configuration asks for no other");
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
        try {
            File file{entry.path().string(), read_text_file(entry.path()), 0};
            const Evidence evidence = parse_evidence(file.text, file.path);
            const auto figure = evidence.figures.find("speedup");
            if (figure == evidence.figures.end()) usage_error("{}: its evidence names no speedup", file.path);
            file.speedup = figure->second;
            if (num_steps == 0 || evidence.run.num_inference_steps == num_steps)
                files.push_back(std::move(file));
        } catch (const Error& broken) {  // no reason to do without the others
            spdlog::warn("{}", broken.what());
        }
    }
    if (files.empty())
        usage_error(
            "auto: {} has no tuned-*.json{}; make one with reprise tune --out "
            "'{}/tuned-{{speedup}}.json', or give another --cache",
            folder.string(), num_steps == 0 ? "" : fmt::format(" for {} steps", num_steps), folder.string());
    const auto nearest = std::min_element(files.begin(), files.end(), [&](const File& a, const File& b) {
        return std::pair(std::abs(a.speedup - speedup), a.path) <
               std::pair(std::abs(b.speedup - speedup), b.path);
    });
    PolicyContext within = context;
    within.folder.clear();  // it asks for no other
    return parse_config(nearest->text, nearest->path, within);
}

}  // namespace reprise::cachify
