{{ rejected_of('randomuser', 'users') }}
