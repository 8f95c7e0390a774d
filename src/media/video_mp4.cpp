extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
}

#include <array>
#include <memory>
#include <string>

#include "media/video.h"
#include "reprise/error.h"

namespace reprise {

namespace {

struct AvDeleter {
    void operator()(AVCodecContext* codec) const { avcodec_free_context(&codec); }
    void operator()(AVFrame* frame) const { av_frame_free(&frame); }
    void operator()(AVPacket* packet) const { av_packet_free(&packet); }
    void operator()(SwsContext* scaler) const { sws_freeContext(scaler); }
    void operator()(std::uint8_t* bytes) const { av_free(bytes); }
    void operator()(AVFormatContext* muxer) const {
        std::uint8_t* rest = nullptr;
        if (muxer->pb != nullptr) avio_close_dyn_buf(muxer->pb, &rest);
        av_free(rest);
        avformat_free_context(muxer);
    }
};
template <class T>
using Owned = std::unique_ptr<T, AvDeleter>;

/// One MP4 in memory.
class Mp4 {
  public:
    Mp4(const Video& video, std::string_view file) : file_(file) {
        AVFormatContext* muxer = nullptr;
        check(avformat_alloc_output_context2(&muxer, nullptr, "mp4", nullptr), "cannot be made");
        muxer_.reset(muxer);
        muxer_->flags |= AVFMT_FLAG_BITEXACT;
        open_encoder(video);
        AVStream* stream = made(avformat_new_stream(muxer, nullptr));
        stream->time_base = codec_->time_base;
        stream->avg_frame_rate = codec_->framerate;
        check(avcodec_parameters_from_context(stream->codecpar, codec_.get()), "cannot be made");
        std::string comment;
        for (const auto& [key, value] : video.text) comment += fmt::format("{}: {}\n", key, value);
        av_dict_set(&muxer_->metadata, "comment", comment.c_str(), 0);
        check(avio_open_dyn_buf(&muxer_->pb), "cannot be made");
        check(avformat_write_header(muxer, nullptr), "its header cannot be written");

        picture_.reset(made(av_frame_alloc()));
        picture_->format = codec_->pix_fmt;
        picture_->width = codec_->width;
        picture_->height = codec_->height;
        check(av_frame_get_buffer(picture_.get(), 0), "no memory for a frame");
        packet_.reset(made(av_packet_alloc()));
        open_scaler();
    }

    void add(const Image& image) {
        check(av_frame_make_writable(picture_.get()), "no memory for a frame");
        const std::array<const std::uint8_t*, 1> rows = {image.pixels().data()};
        const std::array<int, 1> strides = {3 * image.width()};
        sws_scale(scaler_.get(), rows.data(), strides.data(), 0, image.height(), picture_->data,
                  picture_->linesize);
        picture_->pts = next_++;
        encode(picture_.get());
    }

    std::vector<std::byte> finish() {
        encode(nullptr);
        check(av_write_trailer(muxer_.get()), "its index cannot be written");
        std::uint8_t* data = nullptr;
        const int size = avio_close_dyn_buf(muxer_->pb, &data);
        muxer_->pb = nullptr;
        const Owned<std::uint8_t> owner(data);
        const auto* bytes = reinterpret_cast<const std::byte*>(data);
        return {bytes, bytes + size};
    }

  private:
    void check(int result, const char* what) const {
        if (result >= 0) return;
        std::array<char, AV_ERROR_MAX_STRING_SIZE> reason{};
        av_strerror(result, reason.data(), reason.size());
        failure("{}: {}: {}", file_, what, reason.data());
    }
    template <class T>
    T* made(T* object) const {
        if (object == nullptr) failure("{}: no memory for the video", file_);
        return object;
    }

    void open_encoder(const Video& video) {
        const AVCodec* encoder = avcodec_find_encoder_by_name("libx264");
        if (encoder == nullptr) encoder = avcodec_find_encoder(AV_CODEC_ID_H264);
        if (encoder == nullptr)
            failure("{}: the FFmpeg libraries here have no H.264 encoder; save it as .webp or .png", file_);
        codec_.reset(made(avcodec_alloc_context3(encoder)));
        codec_->width = video.frames.front().width();
        codec_->height = video.frames.front().height();
        codec_->time_base = {1, video.fps};
        codec_->framerate = {video.fps, 1};
        codec_->pix_fmt = AV_PIX_FMT_YUV420P;
        codec_->color_range = AVCOL_RANGE_MPEG;
        codec_->colorspace = AVCOL_SPC_BT709;
        codec_->color_primaries = AVCOL_PRI_BT709;
        codec_->color_trc = AVCOL_TRC_BT709;
        codec_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
        codec_->log_level_offset = AV_LOG_INFO;  // its talk stays out of standard error
        av_opt_set(codec_->priv_data, "crf", "17", 0);
        check(avcodec_open2(codec_.get(), encoder, nullptr), "the H.264 encoder does not start");
    }

    void open_scaler() {
        scaler_.reset(made(sws_getContext(codec_->width, codec_->height, AV_PIX_FMT_RGB24, codec_->width,
                                          codec_->height, codec_->pix_fmt, SWS_BICUBIC | SWS_ACCURATE_RND,
                                          nullptr, nullptr, nullptr)));
        constexpr int kFullRange = 1, kLimitedRange = 0, kOne = 1 << 16;
        sws_setColorspaceDetails(scaler_.get(), sws_getCoefficients(SWS_CS_DEFAULT), kFullRange,
                                 sws_getCoefficients(SWS_CS_ITU709), kLimitedRange, 0, kOne, kOne);
    }

    /// Null ends the stream.
    void encode(const AVFrame* frame) {
        check(avcodec_send_frame(codec_.get(), frame), "a frame cannot be encoded");
        for (;;) {
            const int result = avcodec_receive_packet(codec_.get(), packet_.get());
            if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) return;
            check(result, "a frame cannot be encoded");
            packet_->duration = 1;
            av_packet_rescale_ts(packet_.get(), codec_->time_base, muxer_->streams[0]->time_base);
            check(av_interleaved_write_frame(muxer_.get(), packet_.get()), "a frame cannot be written");
        }
    }

    std::string_view file_;
    Owned<AVFormatContext> muxer_;
    Owned<AVCodecContext> codec_;
    Owned<SwsContext> scaler_;
    Owned<AVFrame> picture_;
    Owned<AVPacket> packet_;
    std::int64_t next_ = 0;
};

}  // namespace

void check_mp4(std::string_view /*file*/) {}

std::vector<std::byte> encode_mp4(const Video& video, std::string_view file) {
    check_video(video, file);
    const Image& first = video.frames.front();
    if (first.width() % 2 != 0 || first.height() % 2 != 0)
        usage_error("{}: H.264 needs even sides, these frames are {}x{}; save them as .webp or .png", file,
                    first.width(), first.height());
    Mp4 mp4(video, file);
    for (const Image& frame : video.frames) mp4.add(frame);
    return mp4.finish();
}

std::string mp4_comment(const std::filesystem::path& file) {
    const int level = av_log_get_level();
    av_log_set_level(AV_LOG_QUIET);  // of a file that is none it would print lines
    AVFormatContext* opened = nullptr;
    const int failed =
        avformat_open_input(&opened, ("file:" + file.string()).c_str(), av_find_input_format("mp4"), nullptr);
    av_log_set_level(level);
    if (failed < 0) return {};
    const AVDictionaryEntry* comment = av_dict_get(opened->metadata, "comment", nullptr, 0);
    std::string text = comment == nullptr ? "" : comment->value;
    avformat_close_input(&opened);
    return text;
}

}  // namespace reprise
