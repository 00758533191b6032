build2/base/diary.o: base/diary.c base/diary.h
base/diary.h:
