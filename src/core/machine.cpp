#include "core/machine.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace reprise::machine {

namespace fs = std::filesystem;

namespace {

/// A control group, by the folder that has its files.
struct Group {
    fs::path folder;
    bool v2 = false;
};

/// A line of /proc/self/mountinfo about a hierarchy of control groups.
struct Mount {
    std::string root;  ///< the group that is mounted
    fs::path point;
    bool v2 = false;
    std::vector<std::string> controllers;  ///< of version 1
};

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
    return parts;
}

bool contains(const std::vector<std::string>& list, std::string_view item) {
    return std::find(list.begin(), list.end(), item) != list.end();
}

/// Without mountinfo's escapes: a space is "\040".
std::string unescaped(const std::string& text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escape = text[i] == '\\' && i + 3 < text.size() &&
                            std::all_of(text.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                        text.begin() + static_cast<std::ptrdiff_t>(i) + 4,
                                        [](char c) { return c >= '0' && c <= '7'; });
        if (!escape) {
            result += text[i];
            continue;
        }
        result += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
        i += 3;
    }
    return result;
}

std::vector<Mount> mounts(const fs::path& root) {
    std::vector<Mount> result;
    std::ifstream file(root / "proc/self/mountinfo");
    for (std::string line; std::getline(file, line);) {
        // id parent device root point options [tag...] - type source options
        const auto fields = split(line, ' ');
        const auto dash = std::find(fields.begin(), fields.end(), "-");
        if (dash - fields.begin() < 6 || fields.end() - dash < 4) continue;
        const std::string& type = dash[1];
        if (type != "cgroup" && type != "cgroup2") continue;
        result.push_back({unescaped(fields[3]), fs::path(unescaped(fields[4])).relative_path(),
                          type == "cgroup2", split(dash[3], ',')});
    }
    return result;
}

/// What is left of a group's path below the group that is mounted; the latter's own where it is another, as
/// in a container that sees its group as the root.
std::string below(const std::string& path, const std::string& mounted) {
    if (path.find("..") != std::string::npos) return "";
    if (mounted == "/") return path;
    const bool inside =
        path.starts_with(mounted) && (path.size() == mounted.size() || path[mounted.size()] == '/');
    return inside ? path.substr(mounted.size()) : "";
}

/// The groups that limit this process's use of what the controller controls: its own and their ancestors.
std::vector<Group> groups(const fs::path& root, std::string_view controller) {
    std::vector<Group> result;
    const auto mounted = mounts(root);
    std::ifstream file(root / "proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
        // id:controllers:path, with no controllers in version 2
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const bool v2 = controllers.empty();
        if (!v2 && !contains(split(controllers, ','), controller)) continue;
        const auto mount = std::find_if(mounted.begin(), mounted.end(), [&](const Mount& entry) {
            return entry.v2 == v2 && (v2 || contains(entry.controllers, controller));
        });
        if (mount == mounted.end()) continue;
        const fs::path top = root / mount->point;
        fs::path folder = top;
        std::vector<Group> own = {{top, v2}};
        for (const auto& part : fs::path(below(line.substr(second + 1), mount->root)).relative_path())
            own.push_back({folder /= part, v2});
        result.insert(result.end(), own.rbegin(), own.rend());
    }
    return result;
}

/// The first number in a file; nothing for "max", and where there is no such file.
std::optional<double> number(const fs::path& path) {
    std::ifstream file(path);
    double value = 0;
    return file >> value ? std::optional(value) : std::nullopt;
}

/// The number after the key, in a file of lines "key number".
std::optional<double> number(const fs::path& path, std::string_view key) {
    std::ifstream file(path);
    std::string name;
    double value = 0;
    for (std::string rest; file >> name >> value; std::getline(file, rest))
        if (name == key) return value;
    return std::nullopt;
}

/// What a group's limit on memory leaves; pages of files that it can drop count as free.
std::optional<double> left_in(const Group& group) {
    const auto file = [&](const char* name) { return group.folder / name; };
    std::optional<double> limit, used, droppable;
    if (group.v2) {
        limit = number(file("memory.max"));
        const auto throttled = number(file("memory.high"));
        if (throttled && (!limit || *throttled < *limit)) limit = throttled;
        used = number(file("memory.current"));
        droppable = number(file("memory.stat"), "inactive_file");
    } else {
        limit = number(file("memory.limit_in_bytes"));
        used = number(file("memory.usage_in_bytes"));
        droppable = number(file("memory.stat"), "total_inactive_file");
    }
    if (!limit || !used) return std::nullopt;
    const double held = std::max(0.0, *used - droppable.value_or(0));
    return std::max(0.0, *limit - held);
}

/// Processors' worth of time that a group's quota allows.
std::optional<double> quota_of(const Group& group) {
    if (group.v2) {
        std::ifstream file(group.folder / "cpu.max");
        double quota = 0, period = 0;
        return file >> quota >> period && period > 0 ? std::optional(quota / period) : std::nullopt;
    }
    const auto quota = number(group.folder / "cpu.cfs_quota_us");
    const auto period = number(group.folder / "cpu.cfs_period_us");
    return quota && period && *quota > 0 && *period > 0 ? std::optional(*quota / *period) : std::nullopt;
}

}  // namespace

std::optional<double> available_bytes(const fs::path& root) {
    auto least = number(root / "proc/meminfo", "MemAvailable:");
    if (least) *least *= 1024;
    for (const Group& group : groups(root, "memory")) {
        const auto left = left_in(group);
        if (left && (!least || *left < *least)) least = left;
    }
    return least;
}

std::optional<double> resident_bytes() {
    std::ifstream file("/proc/self/statm");
    double size = 0, resident = 0;
    if (!(file >> size >> resident)) return std::nullopt;
    return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

std::size_t processors(const fs::path& root, std::size_t online) {
    std::size_t least = std::max<std::size_t>(1, online > 0 ? online : std::thread::hardware_concurrency());
    for (const Group& group : groups(root, "cpu"))
        if (const auto quota = quota_of(group); quota && *quota < static_cast<double>(least))
            least = std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(*quota)));
    return least;
}

std::optional<std::size_t> mappings() {
    std::ifstream file("/proc/self/maps", std::ios::binary);
    if (!file) return std::nullopt;
    return static_cast<std::size_t>(
        std::count(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>(), '\n'));
}

std::optional<std::size_t> most_mappings() {
    const auto most = number("/proc/sys/vm/max_map_count");
    return most ? std::optional(static_cast<std::size_t>(*most)) : std::nullopt;
}

}  // namespace reprise::machine
