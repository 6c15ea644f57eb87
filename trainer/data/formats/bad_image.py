"""The exception for image files that cannot be used."""


class BadImage(Exception):
    """A file that is not an image, or an image that cannot be used.

    Attributes:
      problem: the problem as a predicate: "is empty".
      detail: values that explain the problem.
      is_temporary: True if the cause may be outside the file, such as an I/O error, so that it may be readable later.
    """

    def __init__(self, problem: str, detail: str, *, is_temporary: bool = False) -> None:
        super().__init__(problem, detail)
        self.problem, self.detail, self.is_temporary = problem, detail, is_temporary
