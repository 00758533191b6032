build2/coordinator/cmd_embed.o: coordinator/cmd_embed.c \
 coordinator/album.h coordinator/image.h base/error.h \
 coordinator/pictures.h coordinator/pipeline.h coordinator/children.h \
 transport/transport.h transport/frame.h worker/worker.h transport/wire.h \
 base/diary.h base/hash.h coordinator/options.h coordinator/tokenizer.h \
 coordinator/utf8.h partition/gguf.h partition/cluster.h partition/plan.h \
 partition/memory.h partition/weights.h partition/blocks.h \
 partition/config.h partition/vision_plan.h partition/vision_memory.h \
 partition/vision_weights.h partition/vision_config.h \
 coordinator/request.h coordinator/prompt.h coordinator/commands.h \
 coordinator/output_file.h coordinator/report.h coordinator/serve.h \
 coordinator/trace.h coordinator/scheduler.h
coordinator/album.h:
coordinator/image.h:
base/error.h:
coordinator/pictures.h:
coordinator/pipeline.h:
coordinator/children.h:
transport/transport.h:
transport/frame.h:
worker/worker.h:
transport/wire.h:
base/diary.h:
base/hash.h:
coordinator/options.h:
coordinator/tokenizer.h:
coordinator/utf8.h:
partition/gguf.h:
partition/cluster.h:
partition/plan.h:
partition/memory.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
partition/vision_plan.h:
partition/vision_memory.h:
partition/vision_weights.h:
partition/vision_config.h:
coordinator/request.h:
coordinator/prompt.h:
coordinator/commands.h:
coordinator/output_file.h:
coordinator/report.h:
coordinator/serve.h:
coordinator/trace.h:
coordinator/scheduler.h:
