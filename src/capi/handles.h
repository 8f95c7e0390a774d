#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "capi/options.h"
#include "reprise/c.h"
#include "reprise/error.h"
#include "reprise/pipeline.h"

namespace reprise::capi {

/// A pipeline that its handle and its calls share.
struct SharedPipeline {
    Pipeline pipe;
    std::timed_mutex reuse_mutex;  ///< held while a call runs: see reuse.h
};

}  // namespace reprise::capi

// What the handles of reprise/c.h point to.

struct reprise_error {
    reprise::ErrorKind kind = reprise::ErrorKind::failure;
    std::string message;
};

struct reprise_pipeline {
    std::shared_ptr<reprise::capi::SharedPipeline> shared;
    mutable std::once_flag honours_once;
    mutable std::string honours;  ///< made when first asked for
};

struct reprise_call {
    std::shared_ptr<reprise::capi::SharedPipeline> shared;
    reprise::capi::CallOptions options;
    reprise_callback callback = nullptr;
    void* user = nullptr;
    std::atomic<bool> cancelled = false;
    std::atomic<bool> running = false;
};

struct reprise_result {
    reprise::GenerateOutput output;
    std::string report;
};
