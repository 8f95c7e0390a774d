#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "outputs.h"
#include "report/comparison.h"

namespace reprise::app {

/// Where a comparison is put. Empty: not written.
struct ComparisonPlaces {
    std::filesystem::path sheet, page, csv, json;
    std::filesystem::path pictures;  ///< a folder

    /// Checks them (and makes folders) before anything is computed.
    void check() const;
};

/// Of `--out FOLDER|FILE.png`: everything in a folder, or a sheet with a page beside it.
ComparisonPlaces places_of(const std::string& out);

/// Writes every picture as `WAY/PAIR.png` (of videos `WAY/PAIR-FRAME.png`) and what they are as
/// pictures.json. Returns the names.
std::vector<std::string> write_pictures(const report::Comparison& comparison,
                                        const std::filesystem::path& folder);

/// Runs a command of the user's on the folder of pictures and takes a score for each way from the JSON that
/// it prints: {"title": "...", "ways": {"full": 0.31, ...}}. Failure when it fails or prints something else.
void score(report::Comparison& comparison, const std::string& command, const std::filesystem::path& folder);

}  // namespace reprise::app
