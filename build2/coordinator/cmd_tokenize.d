build2/coordinator/cmd_tokenize.o: coordinator/cmd_tokenize.c \
 coordinator/commands.h coordinator/options.h base/error.h \
 transport/wire.h base/diary.h base/hash.h transport/frame.h \
 transport/transport.h coordinator/tokenizer.h coordinator/utf8.h \
 partition/gguf.h partition/config.h partition/weights.h \
 partition/blocks.h
coordinator/commands.h:
coordinator/options.h:
base/error.h:
transport/wire.h:
base/diary.h:
base/hash.h:
transport/frame.h:
transport/transport.h:
coordinator/tokenizer.h:
coordinator/utf8.h:
partition/gguf.h:
partition/config.h:
partition/weights.h:
partition/blocks.h:
