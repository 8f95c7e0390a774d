#include "compare_outputs.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <map>
#include <memory>

#include "files/json.h"
#include "reprise/error.h"

namespace reprise::app {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

void make_folder(const fs::path& path) {
    std::error_code error;
    if (!fs::is_directory(path, error) && !fs::create_directory(path, error) && !fs::is_directory(path))
        usage_error("cannot make the folder {}: {}", path.string(),
                    error ? error.message() : "something else has this name");
}

/// For a POSIX shell.
std::string quoted(const std::string& text) {
    std::string result = "'";
    for (const char c : text) result += c == '\'' ? "'\\''" : std::string(1, c);
    return result + "'";
}

/// What a command prints. Failure unless it exits with 0.
std::string output_of(const std::string& command) {
    struct Close {
        void operator()(std::FILE* pipe) const { ::pclose(pipe); }
    };
    std::unique_ptr<std::FILE, Close> pipe(::popen(command.c_str(), "r"));
    if (!pipe) failure("cannot run {}", command);
    std::string text;
    std::array<char, 4096> buffer{};
    for (std::size_t count = 0; (count = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) > 0;)
        text.append(buffer.data(), count);
    const int status = ::pclose(pipe.release());
    if (status != 0)
        failure("--score: {} ended with exit status {}", command,
                WIFEXITED(status) ? WEXITSTATUS(status) : status);
    return text;
}

}  // namespace

void ComparisonPlaces::check() const {
    for (const auto& path : {page, csv, json})
        if (!path.empty()) check_writable(path);
    if (!sheet.empty()) check_picture_path(sheet);
    if (!pictures.empty()) {
        make_folder(pictures);
        check_writable(pictures / "pictures.json");
    }
}

ComparisonPlaces places_of(const std::string& out) {
    const fs::path path = out;
    ComparisonPlaces places;
    if (path.extension() == ".png" || path.extension() == ".webp") {
        places.sheet = places.page = path;
        places.page.replace_extension(".html");
        return places;
    }
    make_folder(path);
    return {path / "comparison.png", path / "comparison.html", path / "comparison.csv",
            path / "comparison.json", path / "pictures"};
}

std::vector<std::string> write_pictures(const report::Comparison& comparison, const fs::path& folder) {
    const auto names = report::file_names(comparison);
    const auto digits = fmt::format("{}", comparison.pairs.size()).size();
    std::vector<std::string> written;
    Json ways = Json::array(), pairs = Json::array();
    for (const report::Way* way : comparison.ways()) {
        const fs::path place = folder / names.at(way);
        make_folder(place);
        Outputs files;  // one for each way: each file is open until it is committed
        for (std::size_t p = 0; p < way->made.size(); ++p) {
            const std::string stem = (place / fmt::format("{:0{}}", p + 1, digits)).string();
            const auto& frames = way->made[p].frames;
            const auto paths = picture_paths(stem + ".png", frames.size(), 0);
            for (std::size_t f = 0; f < frames.size(); ++f) files.add(paths[f], frames[f], {});
        }
        files.commit();
        written.insert(written.end(), files.names().begin(), files.names().end());
        ways.push_back({{"name", way->name}, {"folder", names.at(way)}, {"steps", way->num_steps}});
    }
    for (std::size_t p = 0; p < comparison.pairs.size(); ++p) {
        const auto& pair = comparison.pairs[p];
        Json files = Json::array();
        for (const auto& path : picture_paths(fmt::format("{:0{}}.png", p + 1, digits),
                                              comparison.full.made[p].frames.size(), 0))
            files.push_back(path.string());
        pairs.push_back(
            {{"prompt", pair.prompt}, {"seed", pair.seed}, {"number", pair.number}, {"files", files}});
    }
    Outputs index;
    index.add(folder / "pictures.json", json_text(Json{{"ways", ways}, {"pairs", pairs}}, 1));
    index.commit();
    written.push_back(index.names().front());
    return written;
}

void score(report::Comparison& comparison, const std::string& command, const fs::path& folder) {
    const std::string text = output_of(command + " " + quoted(folder.string()));
    constexpr std::string_view kOrigin = "what --score printed";
    const auto json = parse_json(text, kOrigin);
    const auto title = get_or(json, "title", "score", kOrigin);
    const auto ways = json.find("ways");
    if (ways == json.end() || !ways->is_object())
        failure("--score: {} printed no object with \"ways\"", command);
    std::map<std::string, double> scores;
    for (const report::Way* way : comparison.ways())
        if (const auto score = find_value<double>(*ways, way->name, kOrigin)) scores[way->name] = *score;
    const auto take = [&](report::Way& way) {
        if (const auto found = scores.find(way.name); found != scores.end()) way.score = found->second;
    };
    take(comparison.full);
    for (auto& way : comparison.cached) take(way);
    for (auto& way : comparison.fewer) take(way);
    comparison.score_title = title.empty() ? "score" : title;
}

}  // namespace reprise::app
